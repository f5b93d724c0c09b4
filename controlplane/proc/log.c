// SPDX-License-Identifier: GPL-3.0-or-later
// Writes log lines as key=value, one write a line, to stderr. Called by every process.
//
// Under systemd (JOURNAL_STREAM names our stderr) a line starts with its syslog priority and the
// journal keeps the time; elsewhere it starts with the time in UTC.
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096
#define VALUE_INPUT_MAX 200
#define VALUE_BUFFERS 8

static char role_name[16] = "none";
static int role_index = -1;
static enum cfg_log_level log_level = CFG_LOG_INFO;
static bool to_journal;

static const struct {
	const char *name;
	int priority;
} levels[] = {
	[CFG_LOG_ERROR] = {"error", LOG_ERR},
	[CFG_LOG_WARNING] = {"warning", LOG_WARNING},
	[CFG_LOG_INFO] = {"info", LOG_INFO},
	[CFG_LOG_DEBUG] = {"debug", LOG_DEBUG},
};

// systemd.exec(5): JOURNAL_STREAM holds device and inode of the stream that it gave us.
static bool stderr_is_journal(void) {
	const char *text = getenv("JOURNAL_STREAM");
	struct stat st;
	unsigned long long dev, ino;
	if (text == NULL || sscanf(text, "%llu:%llu", &dev, &ino) != 2)
		return false;
	return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

void log_open(const char *role, int index) {
	snprintf(role_name, sizeof(role_name), "%s", role);
	role_index = index;
	to_journal = stderr_is_journal();
	tzset(); // reads its file now: behind the sandbox there are no files
}

void log_level_set(enum cfg_log_level level) {
	log_level = level;
}

bool log_enabled(enum cfg_log_level level) {
	return level <= log_level;
}

// Appends; what does not fit is cut off.
__attribute__((format(printf, 4, 0))) static size_t append_v(
	char *line, size_t size, size_t used, const char *fmt, va_list args) {
	int n = vsnprintf(line + used, size - used, fmt, args);
	if (n < 0)
		return used;
	return (size_t)n < size - used ? used + (size_t)n : size - 1;
}

__attribute__((format(printf, 4, 5))) static size_t append(
	char *line, size_t size, size_t used, const char *fmt, ...) {
	va_list args;
	va_start(args, fmt);
	used = append_v(line, size, used, fmt, args);
	va_end(args);
	return used;
}

static size_t append_start(char *line, size_t size, enum cfg_log_level level) {
	if (to_journal)
		return append(line, size, 0, "<%d>", levels[level].priority);
	struct timespec now;
	struct tm tm;
	char text[32];
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	return append(line, size, 0, "time=%s.%03ldZ ", text, now.tv_nsec / 1000000);
}

void log_write(enum cfg_log_level level, const char *event, const char *fmt, ...) {
	char line[LINE_MAX_BYTES];
	const size_t size = sizeof(line) - 1; // room for the newline
	int saved_errno = errno;
	va_list args;

	if (!log_enabled(level))
		return;
	size_t used = append_start(line, size, level);
	used = append(line, size, used, "level=%s role=%s", levels[level].name, role_name);
	if (role_index >= 0)
		used = append(line, size, used, " index=%d", role_index);
	used = append(line, size, used, " event=%s ", event);
	va_start(args, fmt);
	used = append_v(line, size, used, fmt, args);
	va_end(args);
	while (used > 0 && line[used - 1] == ' ')
		used--;
	// Whatever got past log_value(): a line stays one line.
	for (size_t i = 0; i < used; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[used++] = '\n';
	ssize_t n = write(STDERR_FILENO, line, used);
	(void)n; // there is no other place to say it
	errno = saved_errno;
}

static bool is_plain(unsigned char c) {
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		(c != '\0' && strchr("._:/@%+-", c) != NULL);
}

static char *escape_byte(char *out, unsigned char c) {
	if (c == '"' || c == '\\') {
		*out++ = '\\';
		*out++ = (char)c;
	} else if (c < 0x20 || c >= 0x7f) {
		out += sprintf(out, "\\x%02x", c);
	} else {
		*out++ = (char)c;
	}
	return out;
}

const char *log_value(const char *text) {
	static _Thread_local char buffers[VALUE_BUFFERS][VALUE_INPUT_MAX * 4 + 8];
	static _Thread_local unsigned next;
	if (text == NULL)
		text = "";
	size_t len = strnlen(text, VALUE_INPUT_MAX + 1);
	bool cut = len > VALUE_INPUT_MAX;
	if (cut)
		len = VALUE_INPUT_MAX;
	bool plain = len > 0 && !cut;
	for (size_t i = 0; i < len && plain; i++)
		plain = is_plain((unsigned char)text[i]);

	char *buffer = buffers[next++ % VALUE_BUFFERS];
	char *out = buffer;
	if (!plain)
		*out++ = '"';
	for (size_t i = 0; i < len; i++)
		out = escape_byte(out, (unsigned char)text[i]);
	if (cut)
		out = stpcpy(out, "...");
	if (!plain)
		*out++ = '"';
	*out = '\0';
	return buffer;
}
