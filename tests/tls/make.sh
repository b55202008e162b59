#!/usr/bin/env bash
# Makes the certificates that the tests of IP cameras show, each with its key: tests/tls/make.sh (OpenSSL 3.0). They were made once, are
# valid until 2126 but for one, and open nothing but the tests' own servers.
#
#   authority     signs camera and elsewhere
#   camera        for 127.0.0.1 and localhost
#   elsewhere     for elsewhere.example
#   own           signed by itself, for no host, expired in 2001: what cameras come with
#   version-1     as own, in the form of before 1996, which cameras come with too
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

key() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"
}

# Name, extensions, first and last day, further arguments.
sign() {
    printf '%s' "$2" > "$work/extensions"
    : > "$work/index"
    openssl req -new -key "$1.key" -subj "/CN=${1}" -out "$work/request"
    openssl ca -batch -notext -config <(echo "[ca]
default_ca = test
[test]
database = $work/index
new_certs_dir = $work
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied") -in "$work/request" -extfile "$work/extensions" -startdate "$3" -enddate "$4" -out "$1.pem" "${@:5}" 2> /dev/null
}

readonly FROM=20260101000000Z TO=21260101000000Z
for name in authority camera elsewhere own version-1; do key "$name"; done
sign authority $'basicConstraints = critical,CA:true\nkeyUsage = critical,keyCertSign' $FROM $TO -selfsign -keyfile authority.key
sign camera $'subjectAltName = IP:127.0.0.1,DNS:localhost\nextendedKeyUsage = serverAuth' $FROM $TO -cert authority.pem -keyfile authority.key
sign elsewhere 'subjectAltName = DNS:elsewhere.example' $FROM $TO -cert authority.pem -keyfile authority.key
sign own 'basicConstraints = CA:false' 20000101000000Z 20010101000000Z -selfsign -keyfile own.key
openssl req -new -key version-1.key -subj /CN=version-1 -out "$work/request"
openssl x509 -req -in "$work/request" -signkey version-1.key -days 36500 -out version-1.pem 2> /dev/null
rm authority.key
