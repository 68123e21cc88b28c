package dynamodb_test

import (
	"strings"
	"testing"
	"time"

	"vestibule/kv/dynamodb"
	"vestibule/secret"
)

func TestAddressesThatAreFine(t *testing.T) {
	for url, want := range map[string]time.Duration{
		"dynamodb://sessions?region=eu-west-1":                                      250 * time.Millisecond,
		"dynamodb://My_Table-1.prod?region=us-gov-west-1&timeout=250ms":             250 * time.Millisecond,
		"dynamodb://abc?endpoint=http://127.0.0.1:8000/&region=local":               250 * time.Millisecond,
		"dynamodb://abc?endpoint=https%3A%2F%2Fvpce-1.example.com&region=eu-west-1": 250 * time.Millisecond,
	} {
		if got := open(t, url, nil).Timeout(); got != want {
			t.Errorf("%s: %s for a call, want %s", url, got, want)
		}
	}
}

func TestAddressesAreRefusedWithoutRepeatingThem(t *testing.T) {
	for url, want := range map[string]string{
		"":                 "Config.URL is missing",
		"redis://hunter2":  "does not start with dynamodb://",
		"dynamodb:hunter2": "does not start with dynamodb://",
		"dynamodb://" + strings.Repeat("x", 4096):    "is over 4096 bytes",
		"dynamodb://?region=eu-west-1":               "has no table name of 3 to 255 letters",
		"dynamodb://ab?region=eu-west-1":             "has no table name of 3 to 255 letters",
		"dynamodb://" + strings.Repeat("x", 256):     "has no table name of 3 to 255 letters",
		"dynamodb://hunter2/x":                       "has no table name of 3 to 255 letters",
		"dynamodb://user:hunter2@table":              "has no table name of 3 to 255 letters",
		"dynamodb://abc":                             "names no region (add ?region=… or set AWS_REGION)",
		"dynamodb://abc?region=":                     "region is not the name of a region",
		"dynamodb://abc?region=hunter2/":             "region is not the name of a region",
		"dynamodb://abc?%zz":                         "has options that cannot be read",
		"dynamodb://abc?hunter2=1":                   "has an option other than region, endpoint and timeout",
		"dynamodb://abc?region=a&region=b":           "gives region twice",
		"dynamodb://abc?timeout=hunter2":             "timeout is not a duration from 1ms to 1m0s",
		"dynamodb://abc?timeout=61s":                 "timeout is not a duration from 1ms to 1m0s",
		"dynamodb://abc?endpoint=hunter2":            "endpoint is not https://host or http://host",
		"dynamodb://abc?endpoint=ftp://hunter2":      "endpoint is not https://host or http://host",
		"dynamodb://abc?endpoint=http://":            "endpoint is not https://host or http://host",
		"dynamodb://abc?endpoint=http://u:hunter2@x": "endpoint is not https://host or http://host",
		"dynamodb://abc?endpoint=http://x/hunter2":   "endpoint is not https://host or http://host",
	} {
		_, err := dynamodb.Open(dynamodb.Config{URL: secret.New([]byte(url))})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}

func TestTheRegionMayComeFromTheEnvironment(t *testing.T) {
	t.Setenv("AWS_REGION", "eu-central-1")
	open(t, "dynamodb://abc", nil)
}

func FuzzOpenRepeatsNothingOfTheURL(f *testing.F) {
	for _, seed := range []string{"table?region=eu-west-1", "abc?endpoint=http://127.0.0.1:1&timeout=1s", "%zz/?x", "a@b?region=", "?"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, rest string) {
		const stray = "hunter2hunter2"
		for _, url := range []string{"dynamodb://" + rest, "dynamodb://" + stray + "@" + rest, "dynamodb://abc?" + stray + rest, "dynamodb://abc?region=" + stray + "/" + rest} {
			s, err := dynamodb.Open(dynamodb.Config{URL: secret.New([]byte(url))})
			if err != nil && strings.Contains(err.Error(), stray) {
				t.Errorf("%q is in %v", stray, err)
			}
			if err == nil {
				_ = s.Close()
			}
		}
	})
}
