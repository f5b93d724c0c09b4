# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash disable=SC2154
# CAs of a test's own by openssl: certificates of clients, revocation lists, an OCSP responder.
# Sourced by tests of certificates after lib.sh.

# pki CA: a root.
pki() {
	mkdir -p "$dir/ca-$1"
	: >"$dir/ca-$1/index"
	: >"$dir/ca-$1/index.attr"
	pki_config "$1"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/$1.key" \
		-out "$dir/$1.crt" -days 30 -subj "/O=Example/CN=$1" -config "$dir/ca-$1/config" \
		-extensions ca 2>/dev/null
}

pki_config() { # pki_config CA
	cat >"$dir/ca-$1/config" <<-END
		[req]
		distinguished_name = name
		[name]
		[ca]
		basicConstraints = critical, CA:true
		keyUsage = critical, keyCertSign, cRLSign
		subjectKeyIdentifier = hash
		[any]
		[default]
		database = $dir/ca-$1/index
		new_certs_dir = $dir/ca-$1
		certificate = $dir/$1.crt
		private_key = $dir/$1.key
		default_md = sha256
		default_days = 10
		default_crl_days = 10
		policy = any
		rand_serial = yes
		unique_subject = no
		string_mask = utf8only
	END
}

# pki_ca CA ARGUMENTS...: openssl ca
pki_ca() {
	local ca=$1
	shift
	openssl ca -batch -notext -config "$dir/ca-$ca/config" -name default "$@" 2>"$dir/log/pki" ||
		fail "openssl ca $ca $*: $(cat "$dir/log/pki")"
}

# issue CA NAME SUBJECT [OPTIONS of openssl ca]: NAME.crt and NAME.key, of an end entity; with $EKU,
# $SAN and $KEY. Where the CA is not a root its certificate is behind the client's.
issue() {
	local ca=$1 name=$2 subject=$3
	shift 3
	[ -d "$dir/ca-$ca" ] || {
		mkdir -p "$dir/ca-$ca"
		: >"$dir/ca-$ca/index"
		: >"$dir/ca-$ca/index.attr"
		pki_config "$ca"
	}
	# shellcheck disable=SC2086
	openssl req -new -newkey ${KEY-ec -pkeyopt ec_paramgen_curve:P-256} -nodes -keyout "$dir/$name.key" \
		-out "$dir/$name.csr" -subj "$subject" -utf8 -config "$dir/ca-$ca/config" 2>/dev/null
	{
		echo 'basicConstraints = CA:false'
		echo 'keyUsage = critical, digitalSignature'
		[ -z "${EKU-clientAuth}" ] || echo "extendedKeyUsage = ${EKU-clientAuth}"
		[ -z "${SAN-}" ] || echo "subjectAltName = $SAN"
	} >"$dir/$name.ext"
	pki_ca "$ca" -in "$dir/$name.csr" -out "$dir/$name.crt" -extfile "$dir/$name.ext" \
		-preserveDN "$@"
	[ -z "${CHAIN[$ca]-}" ] || cat "$dir/$ca.crt" >>"$dir/$name.crt"
}
declare -A CHAIN # of CA: clients send its certificate along

# pki_sub CA NAME: a subordinate CA.
pki_sub() {
	mkdir -p "$dir/ca-$2"
	: >"$dir/ca-$2/index"
	: >"$dir/ca-$2/index.attr"
	pki_config "$2"
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/$2.key" \
		-out "$dir/$2.csr" -subj "/O=Example/CN=$2" -config "$dir/ca-$2/config" 2>/dev/null
	pki_ca "$1" -in "$dir/$2.csr" -out "$dir/$2.crt" -extensions ca
	CHAIN[$2]=yes
}

# crl CA [OPTIONS]: CA.crl, put in place at once.
crl() {
	local ca=$1
	shift
	pki_ca "$ca" -gencrl -out "$dir/$ca.crl.new" "$@"
	mv "$dir/$ca.crl.new" "$dir/$ca.crl"
}

# responder PORT SIGNER [OPTIONS of openssl ocsp]: one in namespace lan, of the CA named ca; SIGNER.crt
# and .key sign its answers. What it knows is what was revoked before its start.
responder() {
	local port=$1 signer=$2
	shift 2
	[ -z "${responder_pid-}" ] || kill "$responder_pid" 2>/dev/null || true
	[ -z "${responder_pid-}" ] || wait "$responder_pid" 2>/dev/null || true
	in_ns lan openssl ocsp -index "$dir/ca-ca/index" -port "$port" -CA "$dir/ca.crt" \
		-rsigner "$dir/$signer.crt" -rkey "$dir/$signer.key" "$@" >"$dir/log/responder" 2>&1 &
	responder_pid=$!
	wait_until 10 ns lan sh -c "ss -ltn | grep -q :$port"
}

revoke() { # revoke CA NAME
	pki_ca "$1" -revoke "$dir/$2.crt"
}
