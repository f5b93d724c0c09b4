// SPDX-License-Identifier: GPL-3.0-or-later
// A histogram of latencies: 64 steps to each power of two. Used by the runs of the load generator.
#include "loadgen.h"

static unsigned bucket_of(uint64_t ns) {
	unsigned shift;

	if (ns < LG_HIST_SUB)
		return (unsigned)ns;
	shift = 63u - (unsigned)__builtin_clzll(ns) - 6u; // so that ns >> shift is in 64..127
	return (shift + 1) * LG_HIST_SUB + (unsigned)(ns >> shift) - LG_HIST_SUB;
}

// The middle of a bucket.
static uint64_t value_of(unsigned bucket) {
	unsigned shift;

	if (bucket < LG_HIST_SUB)
		return bucket;
	shift = bucket / LG_HIST_SUB - 1;
	return ((uint64_t)(bucket % LG_HIST_SUB + LG_HIST_SUB) << shift) + (1ull << shift) / 2;
}

void lg_hist_add(struct lg_hist *hist, uint64_t ns) {
	hist->bucket[bucket_of(ns)]++;
	hist->count++;
	hist->sum += (double)ns;
	if (ns > hist->max)
		hist->max = ns;
}

void lg_hist_join(struct lg_hist *hist, const struct lg_hist *other) {
	for (unsigned i = 0; i < 64 * LG_HIST_SUB; i++)
		hist->bucket[i] += other->bucket[i];
	hist->count += other->count;
	hist->sum += other->sum;
	if (other->max > hist->max)
		hist->max = other->max;
}

uint64_t lg_hist_quantile(const struct lg_hist *hist, double q) {
	uint64_t rank = (uint64_t)(q * (double)hist->count), sum = 0;

	for (unsigned i = 0; i < 64 * LG_HIST_SUB; i++) {
		sum += hist->bucket[i];
		if (sum > rank)
			return value_of(i);
	}
	return hist->max;
}

static json_t *us(double ns) {
	return json_real((double)(uint64_t)(ns / 10 + 0.5) / 100);
}

json_t *lg_hist_report(const struct lg_hist *hist) {
	if (hist->count == 0)
		return json_null();
	return json_pack("{s:I,s:o,s:o,s:o,s:o,s:o,s:o}", "count", (json_int_t)hist->count, "mean",
		us(hist->sum / (double)hist->count), "p50", us((double)lg_hist_quantile(hist, 0.5)),
		"p90", us((double)lg_hist_quantile(hist, 0.9)), "p99",
		us((double)lg_hist_quantile(hist, 0.99)), "p999",
		us((double)lg_hist_quantile(hist, 0.999)), "max", us((double)hist->max));
}
