package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"vestibule/config"
	"vestibule/kv/dynamodb"
	"vestibule/secret"
)

// What each trouble says is what go-redis, crypto/tls and Redis 7 say.
func TestEachTroubleWithTheCacheHasItsOwnCure(t *testing.T) {
	for says, cure := range map[string]string{
		"tls: failed to verify certificate: x509: certificate signed by unknown authority":                                          "?ca_file=",
		"tls: failed to verify certificate: x509: cannot validate certificate for 127.0.0.1 because it doesn't contain any IP SANs": "?server_name=",
		"tls: failed to verify certificate: x509: certificate is valid for cache, not localhost":                                    "?server_name=",
		"tls: first record does not look like a TLS handshake":                                                                      "redis:// in place of rediss://",
		"read tcp 127.0.0.1:40000->127.0.0.1:6379: read: connection reset by peer":                                                  "rediss:// in place of redis://",
		"ERR This instance has cluster support disabled":                                                                            "leave cluster=true out",
		"ERR DB index is out of range":                                                                                              "no database of that number",
		"ERR unknown command 'sentinel', with args beginning with: 'get-master-addr-by-name' 'main'":                                "26379",
		"ERR unknown command `SENTINEL`, with args beginning with:":                                                                 "26379",
		"MOVED 5798 127.0.0.1:7001":                                                                                                 "add ?cluster=true",
		"CLUSTERDOWN Hash slot not served":                                                                                          "add ?cluster=true",
		"kv: the store takes no writes: READONLY You can't write against a read only replica. script: 4a3b, on @user_script:18.":    "name the server that takes writes",
		"OOM command not allowed when used memory > 'maxmemory'.":                                                                   "maxmemory",
		"NOREPLICAS Not enough good replicas to write.":                                                                             "min-replicas-to-write",
		"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.":                          "make room",
		"NOPERM this user has no permissions to run the 'evalsha' command":                                                          "the rights",
		"ERR The user executing the script can't run this command or subcommand script: 4a3b, on @user_script:12.":                  "the rights",
		"api error AccessDeniedException: User: x is not authorized to perform: dynamodb:PutItem":                                   "the rights",
		"api error ProvisionedThroughputExceededException: too much":                                                                "more throughput",
		"kv: what is published is not heard":                                                                                        "+subscribe",
		"dial tcp 127.0.0.1:1: connect: connection refused":                                                                         "check that the address",
	} {
		if got := cacheHint(fmt.Errorf("redis: ping: %w", errors.New(says))); !strings.Contains(got, cure) {
			t.Errorf("%s: got the hint %q, want %q", says, got, cure)
		}
	}
	if got := cacheHint(fmt.Errorf("ping: %w", dynamodb.ErrTable)); !strings.Contains(got, "create the table") {
		t.Errorf("no table: got the hint %q", got)
	}
}

func TestAPasswordThatIsNotEscapedIsHintedAt(t *testing.T) {
	for address, cure := range map[string]string{
		"redis://:pass/word@cache:6379":     "%2F",
		"redis://user:pass/word@cache:6379": "%2F",
		"redis://a,b":                       `see "Redis" in docs/operating.md`,
	} {
		pl := plan{config: &config.Config{}}
		pl.secrets.cacheURL = secret.New([]byte(address))
		_, err := openStore(pl)
		faults, ok := errors.AsType[faultsError](err)
		if !ok || !strings.Contains(faults.faults[0].Hint, cure) || strings.Contains(err.Error(), "pass") {
			t.Errorf("%s: got %v with the faults %+v, want the hint %q", address, err, faults.faults, cure)
		}
	}
}
