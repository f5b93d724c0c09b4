// SPDX-License-Identifier: GPL-3.0-or-later
// DTLS 1.2 traffic of OpenSSL 3.0 (s_client, s_server with a PSK) and its keys, for the tests.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "dataplane/abi/abi.h"

// One record each way: "\0hello from the client\n", "\0hello from the server\n" in epoch 1, number 1.
static const struct dtls12_vector {
	uint8_t cipher; // enum abi_cipher
	const char *client_key, *server_key, *client_iv, *server_iv;
	const char *client_record, *server_record;
} dtls12_vectors[] = {
	{
		ABI_AES_128_GCM,
		"8a0680a73227fbe8f235a7b9da24587c",
		"2bfaaefdc65d37773009eb8350b01e63",
		"4d90c753",
		"5c868d23",
		"17fefd0001000000000001002f999778a7d54d57dcad312a0327419e116212f8e7dca1b8dd63df91a9"
		"1f164a19ff58cc3f24acdbed8330f2dc2f12d0",
		"17fefd0001000000000001002f9590370a2a69f0a1d381f8971e38030d66a183f053e073354aeb5808"
		"4a367cb31706b1260e0097b9a0a7825bab174f",
	},
	{
		ABI_AES_256_GCM,
		"a217bf668a903eb9eb3c2e86d9aabaf9a3bc5081391fde932674d375a652f550",
		"839a98e0e43da4e8d8bb889d643d47f00b1374d1bd8aaba078e70601f1bc6526",
		"ce3365d1",
		"a5d52bb0",
		"17fefd0001000000000001002f26f52f603a374997b72d4a25f5e94216cd18d3e606335bf28701fb69"
		"590387a9926cf26c2b941fb8fc47e88a810ee0",
		"17fefd0001000000000001002f7b94657713e0913da7a7f20eff1f96247cb212501156a98c6f912fc4"
		"00368261075f4282dd096bd51bc286f66d7ebe",
	},
	{
		ABI_CHACHA20_POLY1305,
		"39028251d1de273375d2d274c2c329a48bb5a476fc2ebd9be77dd14fd2f6c135",
		"c30ac4411f80203a0a2f646952be2a37e4514b1380c5148d51446214b6aae350",
		"564cac64013ed59bed8b8a67",
		"1b86750064c4bf34e925887b",
		"17fefd00010000000000010027f93726aed7963ba465d269570d4958bfd637f0a32363829c1062f093"
		"22208daf7c1a41dfe2fefc",
		"17fefd00010000000000010027d6a37f711bd1c316885ecc30c42bb894e732ad2af25201944bf7b243"
		"38b83678301a657e317d89",
	},
};

static const char dtls12_client_hello[] =
	"16feff00000000000000000074010000680000000000000068fefdc10d74012f6b832a0b308e1175f3d6eb7503"
	"22fe67bdcf5ceef0415a142ec4270000000400a800ff0100003a002300000016000000170000000d002a002804"
	"0305030603080708080809080a080b080408050806040105010601030303010302040205020602";

static inline unsigned from_hex(const char *hex, uint8_t *out, unsigned max) {
	unsigned n = (unsigned)strlen(hex) / 2;

	for (unsigned i = 0; i < n && i < max; i++) {
		unsigned v = 0;

		for (unsigned j = 0; j < 2; j++) {
			char c = hex[2 * i + j];

			v = v << 4 | (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
		}
		out[i] = (uint8_t)v;
	}
	return n;
}
