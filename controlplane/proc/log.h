// SPDX-License-Identifier: GPL-3.0-or-later
// Log lines as key=value to stderr or the journal. Used by every control-plane process.
//
//   log_info("login", "user=%s remote=%s", user, addr)  ->
//   level=info role=auth event=login user=bob remote=192.0.2.1
//
// Values that come from outside go through %s of log_value(), which quotes and escapes them. No
// secret is ever passed to a log function, at any level.
#pragma once

#include "yang/config.h"

void log_open(const char *role, int index); // index < 0: not shown
void log_level_set(enum cfg_log_level level);
bool log_enabled(enum cfg_log_level level);

void log_write(enum cfg_log_level level, const char *event, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(event, ...) log_write(CFG_LOG_ERROR, event, __VA_ARGS__)
#define log_warning(event, ...) log_write(CFG_LOG_WARNING, event, __VA_ARGS__)
#define log_info(event, ...) log_write(CFG_LOG_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) \
	do { \
		if (log_enabled(CFG_LOG_DEBUG)) \
			log_write(CFG_LOG_DEBUG, event, __VA_ARGS__); \
	} while (0)

// Quoted and escaped when it holds anything but [A-Za-z0-9._:/@%+-]; at most 200 bytes shown.
// The text lives in one of 8 rotating buffers.
const char *log_value(const char *text);
