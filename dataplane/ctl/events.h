// SPDX-License-Identifier: GPL-3.0-or-later
// What lcores report: acted on here, then told to the control plane. Used in ctl/.
#pragma once

#include <stdbool.h>

// Takes at most `budget` events. True: more may wait.
bool ctl_events_process(unsigned budget);
