// SPDX-License-Identifier: GPL-3.0-or-later
// Tables and numbers for people: aligned columns that fit the terminal. Used by penstockctl.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct table;

#define TABLE_RIGHT (1u << 0) // numbers
#define TABLE_WRAP (1u << 1) // the last column: words go on below
// Columns with a higher number are left out first where the table does not fit; 0: never.
#define TABLE_DROP(n) ((unsigned)(n) << 8)

// NULL: no memory.
struct table *table_new(void);
void table_free(struct table *table);
// Before the first row.
int table_column(struct table *table, const char *title, unsigned flags);
// One cell after the other, row by row; the text is copied, control characters become '?'.
int table_cell(struct table *table, const char *text);
int table_cellf(struct table *table, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
size_t table_rows(const struct table *table);
// `width` in character cells, 0: as wide as it is.
void table_print(const struct table *table, FILE *out, unsigned width);

// Width of the terminal behind `out`, 0 when it is none.
unsigned table_width(FILE *out);

// Numbers in at most 32 bytes of text, which they return.
#define FORMAT_LEN 32u
const char *format_bytes(uint64_t bytes, char *text); // 1.5 MB (powers of 1,000)
const char *format_count(uint64_t count, char *text); // 1,234,567
const char *format_duration(uint64_t seconds, char *text); // 1d 02h, 3h 04m, 5m 06s, 7s
const char *format_time(uint64_t realtime_s, char *text); // local time; 0: never
