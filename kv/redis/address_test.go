package redis_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vestibule/kv"
	"vestibule/kv/redis"
	"vestibule/kv/redis/redistest"
	"vestibule/secret"
)

func TestAddressesThatAreFine(t *testing.T) {
	for _, url := range []string{
		"redis://cache",
		"redis://cache:6380/3",
		"redis://cache/",
		"rediss://user:p%40ss%2F@cache.example.com:6379",
		"redis://:only%25password@10.0.0.1",
		"redis://[::1]:6379",
		"redis://[::1]",
		"redis://a,b:7000,[::1]:7001?cluster=true",
		"redis://one?cluster=1&pool_size=5&timeout=100ms&prefix=",
		"redis://:p@s1,s2:26380/2?sentinel_master=main&sentinel_username=u&sentinel_password=p",
		"rediss://cache?server_name=other.example.com",
	} {
		open(t, url)
	}
}

func TestAddressesAreRefusedWithoutRepeatingThem(t *testing.T) {
	many := strings.Repeat("h,", 32) + "h"
	for url, want := range map[string]string{
		"":                                                       "Config.URL is missing",
		"http://:hunter2@cache":                                  "does not start with redis:// or rediss://",
		"redis:hunter2@cache":                                    "does not start with redis:// or rediss://",
		"redis://" + strings.Repeat("x", 4096):                   "is over 4096 bytes",
		"redis://:hunter2#@cache":                                "holds a # (write %23 in a password)",
		"redis://:hunter2%zz@cache":                              "has a user or password with a stray % (write %25)",
		"redis://hunter2@cache":                                  "has a user without a password (write user:password@, or :password@)",
		"redis://:hunter2/x@cache":                               "host 1 has no port between 1 and 65535",
		"redis://:p/hunter2@cache":                               "host 1 has no port between 1 and 65535",
		"redis://:p@cache/hunter2":                               "has a path that is no database number (write %2F for a / in a password)",
		"redis://:p?hunter2=x@cache":                             "has an option that is not known (write %3F for a ? in a password)",
		"redis://":                                               "host 1 has no name of letters, digits, dots and hyphens",
		"redis://:hunter2@":                                      "host 1 has no name of letters, digits, dots and hyphens",
		"redis://cache:0":                                        "host 1 has no port between 1 and 65535",
		"redis://cache:x":                                        "host 1 has no port between 1 and 65535",
		"redis://a:1:2":                                          "host 1 is not host:port",
		"redis://a b":                                            "host 1 has no name of letters, digits, dots and hyphens",
		"redis://a,,b?cluster=true":                              "host 2 has no name of letters, digits, dots and hyphens",
		"redis://" + many + "?cluster=true":                      "is one too many: 32 are the most",
		"redis://cache/-1":                                       "has a path that is no database number",
		"redis://cache/70000":                                    "has a path that is no database number",
		"redis://cache?%zz":                                      "has options that cannot be read",
		"redis://cache?timeout=1s&timeout=2s":                    "gives timeout twice",
		"redis://cache?timeout=hunter2":                          "timeout is not a duration from 1ms to 10s",
		"redis://cache?timeout=11s":                              "timeout is not a duration from 1ms to 10s",
		"redis://cache?pool_size=0":                              "pool_size is not a number from 1 to 10000",
		"redis://cache?prefix={hunter2}":                         "prefix is over 64 bytes or holds braces",
		"redis://cache?cluster=hunter2":                          "cluster is neither true nor false",
		"redis://cache?sentinel_master=":                         "sentinel_master is empty",
		"redis://a,b":                                            "names several hosts without saying what they are",
		"redis://a/1?cluster=true":                               "names a database, and a cluster has only 0",
		"redis://a?cluster=true&sentinel_master=m":               "asks for both cluster and sentinel_master",
		"redis://a?sentinel_password=hunter2":                    "has a sentinel password without sentinel_master",
		"redis://a?ca_file=/hunter2":                             "has options for TLS, which only rediss:// uses",
		"rediss://a?cert_file=/hunter2":                          "wants cert_file and key_file together",
		"rediss://a?ca_file=/nope/hunter2":                       "ca_file: no such file or directory",
		"rediss://a?cert_file=/nope/hunter2&key_file=/nope":      "cert_file: no such file or directory",
		"rediss://a?ca_file=address_test.go":                     "ca_file: holds no certificate",
		"rediss://a?cert_file=address_test.go&key_file=/hunter2": "key_file: no such file or directory",
		"rediss://a?cert_file=address_test.go&key_file=address_test.go": "cert_file and key_file: are no certificate and its key",
	} {
		_, err := redis.Open(redis.Config{URL: secret.New([]byte(url))})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}

func FuzzOpenRepeatsNothingOfTheURL(f *testing.F) {
	for _, seed := range []string{"redis://u:p@h:1/0?cluster=true", "rediss://a,[::1]:7?sentinel_master=m", "redis://%zz@/?x", "redis://:a/b@h", "redis://:a?b@h#"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, rest string) {
		const password = "hunter2hunter2"
		for _, url := range []string{rest, "redis://:" + password + rest, "redis://:" + rest + password + "@h", "rediss://h?sentinel_password=" + password + rest} {
			s, err := redis.Open(redis.Config{URL: secret.New([]byte(url))})
			if err != nil && strings.Contains(err.Error(), password) {
				t.Errorf("the password is in %v", err)
			}
			if err == nil {
				_ = s.Close()
			}
		}
	})
}

func TestAPasswordIsNeitherInErrorsNorInTheLog(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{Lines: []string{"requirepass s3cret"}})
	log := &buffer{}
	debug := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	right := openLogged(t, "redis://:s3cret@"+server.Addr()+"?"+patient, debug)
	put(t, right, "k", kv.Absent)
	wrong := openLogged(t, "redis://default:hunter2@"+server.Addr()+"?"+patient, debug)
	for range 30 { // more often than the pool is large
		_, err := wrong.Get(t.Context(), "k")
		if err == nil || errors.Is(err, kv.ErrNotFound) || strings.Contains(err.Error(), "hunter2") {
			t.Fatalf("with a wrong password: %v", err)
		}
	}
	server.Stop()
	for range 30 {
		if err := right.Ping(t.Context()); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Fatalf("with the server gone: %v", err)
		}
	}
	if text := log.String() + fmt.Sprintf("%v %+v", right, wrong); strings.Contains(text, "hunter2") || strings.Contains(text, "s3cret") {
		t.Errorf("a password was logged or printed: %s", text)
	}
}

// The old password is withdrawn under open connections; the new one stands in the file behind the reference.
func TestARotatedPasswordNeedsNoRestart(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{Lines: []string{"requirepass old"}})
	path := filepath.Join(t.TempDir(), "url")
	write := func(password string) {
		if err := os.WriteFile(path, []byte("redis://:"+password+"@"+server.Addr()+"?"+patient), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("old")
	// An hour passes at each look, so that reads are never too close together.
	at := time.Unix(1_790_000_000, 0)
	value, err := secret.NewResolver(secret.Config{Now: func() time.Time { at = at.Add(time.Hour); return at }}).Resolve(t.Context(), "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := redis.Open(redis.Config{URL: value})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	put(t, s, "k", kv.Absent)
	write("new")
	server.Reconfigure("requirepass new")
	eventually(t, 10*time.Second, "recovery", func() error { return s.Ping(t.Context()) })
}
