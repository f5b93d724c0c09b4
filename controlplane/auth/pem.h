// SPDX-License-Identifier: GPL-3.0-or-later
// Certificates inside a PEM text: finding the first and the last, and their DER. No I/O.
#pragma once

#include <stddef.h>
#include <stdint.h>

// The first or last whole CERTIFICATE block of a NUL-terminated text, or NULL. Points into it.
const char *pem_first(const char *text, size_t *len);
const char *pem_last(const char *text, size_t *len);
// malloc'ed DER of one block, or NULL.
uint8_t *pem_to_der(const char *block, size_t len, size_t *der_len);
