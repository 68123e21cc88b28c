package main

import (
	"cmp"
	"errors"
	"strings"

	"vestibule/kv/dynamodb"
)

const (
	rights = `give the cache's user the rights that stand under "Redis" in docs/operating.md, for keys and channels`
	scarce = "give the table, or the account, more throughput (on-demand tables bring their own)"
)

const notSentinel = "a server answers there that is no Sentinel: correct the host, or its port (Sentinels have 26379 unless told otherwise), or leave sentinel_master out"

// cacheHint is the cure for what keeps the cache from its work, or the hint that fits all.
func cacheHint(err error) string {
	return cmp.Or(knownCure(err), "check that the address and the password (for DynamoDB: the region, the credentials and their rights) are right and the cache is reachable from here (vestibule check --offline leaves the network out)")
}

// knownCure is empty where there is none in particular. Servers and the TLS library name most of their troubles in words alone.
func knownCure(err error) string {
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
		{": MOVED ", "the server is one of a Cluster: add ?cluster=true"},
		{"CLUSTERDOWN ", "the server is one of a Cluster, a part of which is missing (redis-cli cluster info); if the URL does not say so, add ?cluster=true"},
		{"READONLY ", "that is a replica, which may only be read: name the server that takes writes, or say how to find it (?cluster=true, ?sentinel_master=NAME)"},
		{"OOM command not allowed", "the server is full: give it more maxmemory"},
		{"NOREPLICAS ", "the server has fewer replicas than its min-replicas-to-write: bring them back, or lower it"},
		{"MISCONF ", "the server cannot write to its disk: make room, and see its own log"},
		{"NOPERM ", rights},
		{"the user executing the script can't ", rights}, // NOPERM within a script, until Redis 7.0
		{"AccessDeniedException", `give the role the rights that stand under "DynamoDB" in docs/operating.md`},
		{"ProvisionedThroughputExceededException", scarce},
		{"ThrottlingException", scarce},
		{"RequestLimitExceeded", scarce},
		{"kv: what is published is not heard", "see that the user may subscribe (&vestibule:*, +subscribe), and that nothing between here and the server leaves publish/subscribe out"},
		{"connection reset by peer", "a server that wants TLS cuts redis:// off like this: write rediss:// in place of redis://, or see what lies between here and the server"},
	} {
		if strings.Contains(strings.ToLower(err.Error()), strings.ToLower(row.says)) {
			return row.hint
		}
	}
	return ""
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
