// SPDX-License-Identifier: GPL-3.0-or-later
// Checks of commands from the control plane, field by field. Called by dispatch and a fuzzer.
#include "dataplane/ctl/validate.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "dataplane/abi/addr.h"

#define MTU_MIN 576u
#define MTU_MAX 9000u
#define DSCP_MAX 63u
#define DTLS_SEQ_MAX ((UINT64_C(1) << 48) - 1)
#define FILTER_FLAGS (ABI_FILTER_ROUTES | ABI_FILTER_ALLOW | ABI_FILTER_DENY)
#define POLICY_FLAGS (ABI_POLICY_NO_DTLS | ABI_POLICY_CLIENT_TO_CLIENT | ABI_POLICY_DSCP_COPY)

static bool zero(const void *bytes, size_t len) {
	const uint8_t *p = bytes;
	uint8_t any = 0;

	while (len-- > 0)
		any |= *p++;
	return any == 0;
}

static bool policy_ok(const struct abi_policy *policy) {
	return (policy->flags & ~(uint32_t)POLICY_FLAGS) == 0 && policy->mtu >= MTU_MIN &&
		policy->mtu <= MTU_MAX && policy->reserved == 0 && policy->dscp <= DSCP_MAX &&
		(policy->dscp == 0 || !(policy->flags & ABI_POLICY_DSCP_COPY)) &&
		zero(policy->reserved2, sizeof(policy->reserved2));
}

static bool add_ok(const struct abi_cmd_session_add *add) {
	bool has4 = !zero(&add->inner4, sizeof(add->inner4));
	bool has6 = !zero(&add->inner6, sizeof(add->inner6));

	if (!has4 && !has6)
		return false;
	if (has4 && (!abi_addr_is4(&add->inner4) || zero(add->inner4.bytes + 12, 4)))
		return false;
	if (has6 &&
		(abi_addr_is4(&add->inner6) || add->inner6_prefix == 0 || add->inner6_prefix > 128))
		return false;
	return zero(add->reserved, sizeof(add->reserved)) && policy_ok(&add->policy);
}

static bool cipher_ok(uint8_t cipher) {
	return cipher >= ABI_AES_128_GCM && cipher <= ABI_CHACHA20_POLY1305;
}

static bool keys_ok(const struct abi_keys *keys, uint8_t version, uint64_t seq_max) {
	bool secret = keys->secret_len == 32 || keys->secret_len == 48;

	return secret == (version == ABI_TLS13) && (secret || keys->secret_len == 0) &&
		zero(keys->reserved, sizeof(keys->reserved)) && keys->seq <= seq_max;
}

static bool stream_ok(const struct abi_cmd_stream_set *set) {
	return set->token != 0 && (set->version == ABI_TLS12 || set->version == ABI_TLS13) &&
		cipher_ok(set->cipher) && zero(set->reserved, sizeof(set->reserved)) &&
		keys_ok(&set->rx, set->version, UINT64_MAX) &&
		keys_ok(&set->tx, set->version, UINT64_MAX);
}

static bool tuple_ok(const struct abi_tuple *tuple) {
	return !zero(&tuple->local, sizeof(tuple->local)) &&
		!zero(&tuple->remote, sizeof(tuple->remote)) &&
		abi_addr_is4(&tuple->local) == abi_addr_is4(&tuple->remote) &&
		tuple->local_port != 0 && tuple->remote_port != 0 && tuple->reserved == 0;
}

static bool dtls_ok(const struct abi_cmd_dtls_set *set) {
	return tuple_ok(&set->tuple) && set->version == ABI_DTLS12 && cipher_ok(set->cipher) &&
		set->epoch != 0 &&
		(set->mtu == 0 || (set->mtu >= MTU_MIN && set->mtu <= MTU_MAX)) &&
		set->reserved == 0 && keys_ok(&set->rx, set->version, DTLS_SEQ_MAX) &&
		keys_ok(&set->tx, set->version, DTLS_SEQ_MAX);
}

static bool prefix_rule_ok(const struct abi_filter_rule *rule) {
	return rule->len <= (abi_addr_is4(&rule->addr) ? 32 : 128) && rule->protocol == 0 &&
		rule->low == 0 && rule->high == 0;
}

static bool service_rule_ok(const struct abi_filter_rule *rule) {
	bool all = rule->low == 0 && rule->high == UINT16_MAX;

	if (!zero(&rule->addr, sizeof(rule->addr)) || rule->len != 0 || rule->low > rule->high)
		return false;
	switch (rule->protocol) {
	case 6: // TCP
	case 17: // UDP
	case 132: // SCTP
		return true;
	case 1: // ICMP
	case 50: // ESP
	case 58: // ICMPv6
		return all;
	}
	return false;
}

static bool rule_ok(const struct abi_filter_rule *rule) {
	if (rule->reserved != 0)
		return false;
	switch (rule->kind) {
	case ABI_FILTER_ROUTE:
	case ABI_FILTER_EXCLUDE:
		return prefix_rule_ok(rule);
	case ABI_FILTER_SERVICE:
		return service_rule_ok(rule);
	case ABI_FILTER_DNS:
		return !zero(&rule->addr, sizeof(rule->addr)) && rule->len == 0 &&
			prefix_rule_ok(rule);
	}
	return false;
}

static bool filter_add_ok(const struct abi_cmd_filter_add *add) {
	if (add->filter == 0 || (add->flags & ~(uint32_t)FILTER_FLAGS) != 0 ||
		(add->flags & (ABI_FILTER_ALLOW | ABI_FILTER_DENY)) ==
			(ABI_FILTER_ALLOW | ABI_FILTER_DENY))
		return false;
	if (add->total > ABI_FILTER_RULES_MAX || add->nb > ABI_FILTER_PART ||
		(uint32_t)add->first + add->nb > add->total || (add->nb == 0) != (add->total == 0))
		return false;
	for (unsigned i = 0; i < add->nb; i++)
		if (!rule_ok(&add->rule[i]))
			return false;
	return zero(add->reserved, sizeof(add->reserved));
}

static bool has_host_bits(const struct abi_prefix *prefix) {
	unsigned bits = prefix->len + (abi_addr_is4(&prefix->addr) ? 96u : 0);

	for (unsigned i = bits; i < 128; i++)
		if (prefix->addr.bytes[i / 8] >> (7 - i % 8) & 1)
			return true;
	return false;
}

static bool iroutes_ok(const struct abi_cmd_iroutes_set *set) {
	if (set->nb > ABI_IROUTES_MAX)
		return false;
	for (unsigned i = 0; i < set->nb; i++) {
		const struct abi_prefix *prefix = &set->prefix[i];

		if (prefix->len == 0 || prefix->len > (abi_addr_is4(&prefix->addr) ? 32 : 128) ||
			has_host_bits(prefix) || !zero(prefix->reserved, sizeof(prefix->reserved)))
			return false;
	}
	return true;
}

static bool sid_ok(const struct abi_cmd *cmd) {
	return cmd->sid.index < ABI_SESSIONS_MAX && cmd->sid.generation != 0;
}

int dp_cmd_validate(const struct abi_cmd *cmd) {
	bool ok;

	if (cmd->reserved != 0)
		return -EINVAL;
	switch (cmd->type) {
	case ABI_CMD_SESSION_ADD:
		ok = sid_ok(cmd) && add_ok(&cmd->session_add);
		break;
	case ABI_CMD_SESSION_DEL:
		ok = sid_ok(cmd) && cmd->session_del.reason < ABI_END_MAX;
		break;
	case ABI_CMD_STREAM_SET:
		ok = sid_ok(cmd) && stream_ok(&cmd->stream_set);
		break;
	case ABI_CMD_DTLS_SET:
		ok = sid_ok(cmd) && dtls_ok(&cmd->dtls_set);
		break;
	case ABI_CMD_SESSION_UPDATE:
		ok = sid_ok(cmd) && policy_ok(&cmd->policy);
		break;
	case ABI_CMD_DUMP:
		ok = true;
		break;
	case ABI_CMD_FILTER_ADD:
		ok = filter_add_ok(&cmd->filter_add);
		break;
	case ABI_CMD_IROUTES_SET:
		ok = sid_ok(cmd) && iroutes_ok(&cmd->iroutes_set);
		break;
	case ABI_CMD_FILTER_DEL:
		ok = cmd->filter_del.filter != 0;
		break;
	default:
		return -EOPNOTSUPP;
	}
	return ok ? 0 : -EINVAL;
}
