// SPDX-License-Identifier: GPL-3.0-or-later
// Tables and numbers for people. Called by show.c of penstockctl.

#include "tools/cli/table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

#define COLUMNS_MAX 24u
#define GAP 2u
#define WRAP_MIN 20u // narrower than this nothing is wrapped

struct column {
	const char *title; // the caller's
	unsigned flags;
	unsigned width; // widest cell
};

struct table {
	struct column columns[COLUMNS_MAX];
	unsigned nb_columns;
	char **cells; // row by row
	size_t nb_cells, room;
};

// Copies text for a terminal: what a client calls itself must not move the cursor.
static char *sanitized(const char *text) {
	size_t len = strlen(text), n = 0;
	mbstate_t state;
	char *copy = malloc(len + 1);
	memset(&state, 0, sizeof(state));
	for (size_t i = 0; copy != NULL && i < len;) {
		wchar_t wc;
		size_t step = mbrtowc(&wc, text + i, len - i, &state);
		if (step == 0 || step > len - i) {
			memset(&state, 0, sizeof(state));
			step = 1;
			copy[n++] = '?';
		} else if (!iswprint(wc)) {
			copy[n++] = '?';
		} else {
			memcpy(copy + n, text + i, step);
			n += step;
		}
		i += step;
	}
	if (copy != NULL)
		copy[n] = '\0';
	return copy;
}

// Character cells that `len` bytes take.
static unsigned text_width_n(const char *text, size_t len) {
	mbstate_t state;
	unsigned width = 0;
	memset(&state, 0, sizeof(state));
	for (size_t i = 0; i < len;) {
		wchar_t wc;
		size_t step = mbrtowc(&wc, text + i, len - i, &state);
		int cells = 1;
		if (step == 0 || step > len - i) {
			memset(&state, 0, sizeof(state));
			step = 1;
		} else {
			cells = wcwidth(wc);
		}
		width += cells > 0 ? (unsigned)cells : 0;
		i += step;
	}
	return width;
}

static unsigned text_width(const char *text) {
	return text_width_n(text, strlen(text));
}

struct table *table_new(void) {
	return calloc(1, sizeof(struct table));
}

void table_free(struct table *table) {
	if (table == NULL)
		return;
	for (size_t i = 0; i < table->nb_cells; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table);
}

int table_column(struct table *table, const char *title, unsigned flags) {
	if (table->nb_columns == COLUMNS_MAX)
		return -ENOSPC;
	table->columns[table->nb_columns++] = (struct column){title, flags, text_width(title)};
	return 0;
}

int table_cell(struct table *table, const char *text) {
	if (table->nb_cells == table->room) {
		size_t room = table->room > 0 ? table->room * 2 : 256;
		char **cells = realloc(table->cells, room * sizeof(*cells));
		if (cells == NULL)
			return -ENOMEM;
		table->cells = cells;
		table->room = room;
	}
	char *copy = sanitized(text);
	if (copy == NULL)
		return -ENOMEM;
	struct column *column = &table->columns[table->nb_cells % table->nb_columns];
	unsigned width = text_width(copy);
	if (width > column->width)
		column->width = width;
	table->cells[table->nb_cells++] = copy;
	return 0;
}

int table_cellf(struct table *table, const char *fmt, ...) {
	char text[512];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return table_cell(table, text);
}

size_t table_rows(const struct table *table) {
	return table->nb_columns > 0 ? table->nb_cells / table->nb_columns : 0;
}

// ---- fitting

static unsigned total(const struct table *table, const bool *shown) {
	unsigned width = 0;
	for (unsigned i = 0; i < table->nb_columns; i++) {
		if (shown[i])
			width += table->columns[i].width + (width > 0 ? GAP : 0);
	}
	return width;
}

// Leaves columns out, the least important first, until the rest fits.
static void fit(const struct table *table, unsigned width, bool *shown) {
	for (unsigned i = 0; i < table->nb_columns; i++)
		shown[i] = true;
	while (width > 0 && total(table, shown) > width) {
		unsigned worst = 0, at = 0;
		for (unsigned i = 0; i < table->nb_columns; i++) {
			if (shown[i] && table->columns[i].flags >> 8 > worst) {
				worst = table->columns[i].flags >> 8;
				at = i;
			}
		}
		if (worst == 0)
			return;
		shown[at] = false;
	}
}

static void pad(FILE *out, unsigned n) {
	fprintf(out, "%*s", (int)n, "");
}

// Words in lines of at most `room` cells; each further line is indented.
static void print_wrapped(FILE *out, const char *text, unsigned indent, unsigned room) {
	unsigned used = 0;
	while (*text != '\0') {
		size_t len = strcspn(text, " ");
		unsigned width = text_width_n(text, len);
		if (used > 0 && used + 1 + width > room) {
			fputc('\n', out);
			pad(out, indent);
			used = 0;
		} else if (used > 0) {
			fputc(' ', out);
			used++;
		}
		fwrite(text, 1, len, out);
		used += width;
		text += len + strspn(text + len, " ");
	}
}

static void print_row(const struct table *table, FILE *out, char *const *cells, const bool *shown,
	unsigned width) {
	unsigned at = 0, last = 0;
	// Nothing is written behind the last cell that is not empty.
	for (unsigned i = 0; i < table->nb_columns; i++) {
		const char *text = cells != NULL ? cells[i] : table->columns[i].title;
		last = shown[i] && text[0] != '\0' ? i : last;
	}
	for (unsigned i = 0; i <= last; i++) {
		const struct column *column = &table->columns[i];
		const char *text = cells != NULL ? cells[i] : column->title;
		if (!shown[i])
			continue;
		unsigned fill = column->width - text_width(text);
		if (at > 0)
			pad(out, GAP);
		at += at > 0 ? GAP : 0;
		if (column->flags & TABLE_RIGHT)
			pad(out, fill);
		if (i == last && (column->flags & TABLE_WRAP) && width >= at + WRAP_MIN)
			print_wrapped(out, text, at, width - at);
		else
			fputs(text, out);
		if (!(column->flags & TABLE_RIGHT) && i < last)
			pad(out, fill);
		at += column->width;
	}
	fputc('\n', out);
}

void table_print(const struct table *table, FILE *out, unsigned width) {
	bool shown[COLUMNS_MAX];
	fit(table, width, shown);
	print_row(table, out, NULL, shown, width);
	for (size_t row = 0; row < table_rows(table); row++)
		print_row(table, out, table->cells + row * table->nb_columns, shown, width);
}

unsigned table_width(FILE *out) {
	struct winsize size;
	if (!isatty(fileno(out)) || ioctl(fileno(out), TIOCGWINSZ, &size) < 0)
		return 0;
	return size.ws_col;
}

// ---- numbers

const char *format_bytes(uint64_t bytes, char *text) {
	static const char units[] = "kMGTPE";
	double value = (double)bytes;
	int unit = -1;
	// 999.95 kB would be shown as 1000.0 kB.
	while (value >= (unit < 0 ? 1000 : 999.95)) {
		value /= 1000;
		unit++;
	}
	if (unit < 0)
		snprintf(text, FORMAT_LEN, "%" PRIu64 " B", bytes);
	else
		snprintf(text, FORMAT_LEN, "%.1f %cB", value, units[unit]);
	return text;
}

const char *format_count(uint64_t count, char *text) {
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, count);
	size_t n = 0;
	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			text[n++] = ',';
		text[n++] = digits[i];
	}
	text[n] = '\0';
	return text;
}

const char *format_duration(uint64_t s, char *text) {
	if (s >= 86400)
		snprintf(text, FORMAT_LEN, "%" PRIu64 "d %02uh", s / 86400,
			(unsigned)(s / 3600 % 24));
	else if (s >= 3600)
		snprintf(text, FORMAT_LEN, "%uh %02um", (unsigned)(s / 3600),
			(unsigned)(s / 60 % 60));
	else if (s >= 60)
		snprintf(text, FORMAT_LEN, "%um %02us", (unsigned)(s / 60), (unsigned)(s % 60));
	else
		snprintf(text, FORMAT_LEN, "%us", (unsigned)s);
	return text;
}

const char *format_time(uint64_t realtime_s, char *text) {
	time_t when = (time_t)realtime_s;
	struct tm tm;
	if (realtime_s == 0 || localtime_r(&when, &tm) == NULL ||
		strftime(text, FORMAT_LEN, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		snprintf(text, FORMAT_LEN, "never");
	return text;
}
