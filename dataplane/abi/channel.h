// SPDX-License-Identifier: GPL-3.0-or-later
// The SEQPACKET channel: one fixed-size message and its descriptors at a time. Used by both sides.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "abi.h"

// Connects to the dataplane's socket (non-blocking afterwards). Returns the fd or -errno.
int abi_channel_connect(const char *path);

// Sends one message with nb_fds descriptors (may be 0). 0 or -errno. The caller keeps the fds.
int abi_channel_send(int sock, const void *msg, size_t len, const int *fds, unsigned nb_fds);

// Receives exactly one message of `len` bytes and at most max_fds descriptors (close-on-exec).
// Returns the number of descriptors, -EAGAIN, -ECONNRESET at end of file, -EPROTO when the
// length, the truncation flags or the number of descriptors is wrong (all received are closed).
int abi_channel_recv(int sock, void *msg, size_t len, int *fds, unsigned max_fds);

// For the control plane, to which nothing is sent after the WELCOME: whether a readable channel
// is closed (or broken by a byte that should not be there), and not readable for nothing.
bool abi_channel_closed(int sock);
