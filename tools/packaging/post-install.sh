#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Makes users and directories known to this system after `meson install`; does nothing for a
# package (DESTDIR set), whose own scripts do that.
set -eu

[ -z "${DESTDIR-}" ] || exit 0
[ "$(id -u)" = 0 ] || exit 0

if command -v systemd-sysusers >/dev/null; then
	systemd-sysusers penstock.conf
fi
if command -v systemd-tmpfiles >/dev/null; then
	systemd-tmpfiles --create penstock.conf
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
