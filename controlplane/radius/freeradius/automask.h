// SPDX-License-Identifier: GPL-3.0-or-later
// Included by libfreeradius's own headers: Debian 12's libfreeradius-dev installs all of them but
// this one, whose place it is to take back what autoconf.h has defined. Used by packet.c.
#undef HAVE_PCRE // would ask for pcre.h, for functions that nothing here calls
#undef HAVE_REGEX
