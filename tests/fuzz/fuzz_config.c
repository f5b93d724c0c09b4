// SPDX-License-Identifier: GPL-3.0-or-later
// Any bytes as a configuration: refused with a text, or a configuration whose pools hold together.

#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "yang/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_pool(const struct cfg_pool *pool, int family) {
	uint32_t n = cfg_pool_size(pool, family);
	const uint32_t places[] = {0, n / 2, n - 1};
	uint8_t bytes[16];
	for (unsigned i = 0; n > 0 && i < 3; i++) {
		cfg_pool_address(pool, family, places[i], bytes);
		if (cfg_pool_index(pool, family, bytes) != (int64_t)places[i])
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	const char *paths[4];
	char *error = NULL;
	struct cfg *cfg = cfg_load_mem((const char *)data, size, "fuzz", &error);
	if ((cfg == NULL) != (error != NULL && error[0] != '\0'))
		abort();
	free(error);
	if (cfg == NULL)
		return 0;
	for (size_t i = 0; i < cfg->nb_pools; i++) {
		check_pool(&cfg->pools[i], AF_INET);
		check_pool(&cfg->pools[i], AF_INET6);
	}
	if (cfg_restart_needed(cfg, cfg, paths, 4) != 0)
		abort();
	cfg_free(cfg);
	return 0;
}
