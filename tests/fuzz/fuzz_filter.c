// SPDX-License-Identifier: GPL-3.0-or-later
// Fuzzes what filters make of commands and what they say of packets: rules that pass the checks of
// the control thread, then a packet of a client's or for it. Run by tools/check.
#include <stdlib.h>
#include <string.h>

#include "dataplane/ctl/validate.h"
#include "dataplane/table/filter_match.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth) {
	if (!truth)
		abort();
}

// Ranges are in order and apart, or the search misses some.
static void check_ranges(const struct filter_rules *rules) {
	for (uint32_t i = 0; i < rules->nb4; i++) {
		require(rules->route4[i].low <= rules->route4[i].high);
		require(i == 0 || rules->route4[i - 1].high < rules->route4[i].low);
	}
	for (uint32_t i = 0; i < rules->nb6; i++) {
		require(rules->route6[i].low <= rules->route6[i].high);
		require(i == 0 || rules->route6[i - 1].high < rules->route6[i].low);
	}
	for (unsigned s = 0; s < FILTER_SERVICES; s++) {
		const struct filter_service *service = &rules->service[s];

		for (uint32_t i = 0; i < service->nb; i++) {
			require(service->ports[i].low <= service->ports[i].high);
			require(i == 0 || service->ports[i - 1].high < service->ports[i].low);
		}
	}
}

// A later fragment that passes belongs to what passes whatever its first one shows.
static void check_fragment(const struct filter_rules *rules, uint8_t *ip, struct ip_info info) {
	bool ports = info.proto == 6 || info.proto == 17 || info.proto == 132;

	if (info.version != 4 || info.fragment_offset == 0 || !ports ||
		info.total_len < info.header_len + 4 ||
		filter_match(rules, ip, &info, false) != FILTER_PASS)
		return;
	info.fragment_offset = 0;
	info.more_fragments = true;
	for (uint32_t port = 0; port <= UINT16_MAX; port += 13) {
		ip_store16(ip + info.header_len + 2, (uint16_t)port);
		require(filter_match(rules, ip, &info, false) == FILTER_PASS);
	}
}

static void check_packet(const struct filter_rules *rules, const uint8_t *data, size_t size) {
	uint8_t *packet = malloc(
		size > 0 ? size : 1); // its own size, so that ASan sees every overrun
	struct ip_info info;

	require(packet != NULL);
	memcpy(packet, data, size);
	if (ip_parse(packet, size, false, &info) == IP_OK) {
		for (int to_client = 0; to_client < 2; to_client++)
			require(filter_match(rules, packet, &info, to_client) <= FILTER_FRAGMENT);
		check_fragment(rules, packet, info);
	}
	free(packet);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct abi_cmd cmd = {.type = ABI_CMD_FILTER_ADD};
	size_t taken = size < sizeof(cmd.filter_add) ? size : sizeof(cmd.filter_add);
	struct filter_rules rules;

	if (size > UINT16_MAX)
		return 0;
	memcpy(&cmd.filter_add, data, taken);
	if (dp_cmd_validate(&cmd) != 0)
		return 0;
	require(cmd.filter_add.nb <= ABI_FILTER_PART);
	if (filter_rules_make(
		    &rules, cmd.filter_add.flags, cmd.filter_add.rule, cmd.filter_add.nb) != 0)
		return 0;
	check_ranges(&rules);
	check_packet(&rules, data + taken, size - taken);
	filter_rules_free(&rules);
	return 0;
}
