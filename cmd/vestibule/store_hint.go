package main

import (
	"errors"
	"strings"

	"vestibule/kv/dynamodb"
)

const notSentinel = "a server answers there that is no Sentinel: correct the host, or its port (Sentinels have 26379 unless told otherwise), or leave sentinel_master out"

// cacheHint is the cure for what keeps the cache from answering. Servers and the TLS library name most of their troubles in words
// alone; what none of the rows knows gets the hint that fits all.
func cacheHint(err error) string {
	if errors.Is(err, dynamodb.ErrTable) {
		return `create the table with the command below "DynamoDB" in docs/operating.md, or correct its name and region`
	}
	for _, row := range []struct{ says, hint string }{
		{"certificate signed by unknown authority", "name the authority that signed the server's certificate: ?ca_file=… (PEM)"},
		{"doesn't contain any IP SANs", "say which name is in the server's certificate: ?server_name=…, or write that name in place of the address"},
		{"certificate is valid for ", "say which name is in the server's certificate: ?server_name=…"},
		{"first record does not look like a TLS handshake", "the server does not speak TLS at that port: write redis:// in place of rediss://, or correct the port"},
		{"cluster support disabled", "the server is no Cluster: leave cluster=true out"},
		{"DB index is out of range", "the server has no database of that number: correct the one at the end of the path, or leave it out"},
		{"unknown command 'sentinel", notSentinel},
		{"unknown command `sentinel", notSentinel}, // Redis before 7
		{"connection reset by peer", "a server that wants TLS cuts redis:// off like this: write rediss:// in place of redis://, or see what lies between here and the server"},
	} {
		if strings.Contains(strings.ToLower(err.Error()), strings.ToLower(row.says)) {
			return row.hint
		}
	}
	return "check that the address and the password (for DynamoDB: the region, the credentials and their rights) are right and the cache is reachable from here (vestibule check --offline leaves the network out)"
}

// addressHint is the cure for a Redis address that cannot be read. A sign of a password that was not escaped ends the host too early.
func addressHint(err error) string {
	for _, says := range []string{"has no port between 1 and 65535", "is not host:port", "has no name of letters, digits, dots and hyphens"} {
		if strings.Contains(err.Error(), says) {
			return `a / in a password is written as %2F, and @ ? # % as %40 %3F %23 %25 (see "Redis" in docs/operating.md)`
		}
	}
	return `see "Redis" in docs/operating.md`
}
