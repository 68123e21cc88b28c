package idp_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vestibule/idp"
)

func asking(maxAge string) func(*idp.Config) {
	return func(c *idp.Config) { c.AuthorizeParams = map[string]string{"max_age": maxAge} }
}

// The authorization request goes through the browser: whoever sits there can cut max_age out of it, and come back with the
// sign-in of last week.
func TestWhenMaxAgeWasAskedForAuthTimeMustShowThatItWasKept(t *testing.T) {
	const old, missing, ahead = "auth_time is older than max_age allows", "it has no auth_time", "auth_time is in the future"
	for name, c := range map[string]struct {
		maxAge string        // "": not asked for
		begun  time.Duration // ago; negative: nobody knows
		at     any           // auth_time: ago, another value, or nil for none
		says   string        // "": accepted
	}{
		"within it":                            {"60", 0, 30 * time.Second, ""},
		"older, within the skew":               {"60", 0, 2 * time.Minute, ""},
		"older":                                {"60", 0, 2*time.Minute + time.Second, old},
		"a day old":                            {"60", 0, 24 * time.Hour, old},
		"none":                                 {"60", 0, nil, missing},
		"no number":                            {"60", 0, "yesterday", missing},
		"null":                                 {"60", 0, []byte(nil), missing},
		"in milliseconds":                      {"60", 0, 1.79e12, missing},
		"a little ahead of us":                 {"60", 0, -4 * time.Minute, ""},
		"of tomorrow":                          {"60", 0, -24 * time.Hour, ahead},
		"zero, and signed in anew":             {"0", 0, time.Duration(0), ""},
		"zero, and signed in before":           {"0", 0, 61 * time.Second, old},
		"zero, and the page was left open":     {"0", 9 * time.Minute, 9 * time.Minute, ""},
		"old when the sign-in was begun":       {"60", 9 * time.Minute, 11*time.Minute + time.Second, old},
		"young when the sign-in was begun":     {"60", 9 * time.Minute, 11 * time.Minute, ""},
		"nobody knows when it was begun":       {"60", -1, 2 * time.Minute, ""},
		"older, and nobody knows when":         {"60", -1, 2*time.Minute + time.Second, old},
		"the longest there is":                 {"4294967295", 0, 50 * 365 * 24 * time.Hour, ""},
		"not asked for, and old":               {"", 0, 24 * time.Hour, ""},
		"not asked for, and none":              {"", 0, nil, ""},
		"not asked for, and begun long before": {"", 9 * time.Minute, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pass(60 * 365 * 24 * time.Hour) // a bubble begins in 2000
				claim, pending := c.at, idp.Pending{Verifier: verifier, Nonce: nonce}
				if ago, is := c.at.(time.Duration); is {
					claim = time.Now().Add(-ago).Unix()
				}
				if c.begun >= 0 {
					pending.Begun = time.Now().Add(-c.begun)
				}
				f := newFake().answers(idToken(t, map[string]any{"auth_time": claim}))
				p, log := logged(t, f, func(cfg *idp.Config) {
					if c.maxAge != "" {
						asking(c.maxAge)(cfg)
					}
				})
				_, err := p.Exchange(t.Context(), idp.Callback{Code: "code-1"}, pending)
				if c.says == "" && err != nil {
					t.Fatalf("got %v, want tokens; log %s", err, log)
				}
				if c.says != "" && (!errors.Is(err, idp.ErrUntrusted) || !strings.Contains(err.Error(), "ID token: "+c.says)) {
					t.Errorf("got %v, want ErrUntrusted saying %q", err, c.says)
				}
			})
		})
	}
}

func TestMaxAgeIsNoConcernOfARefresh(t *testing.T) {
	for name, at := range map[string]any{"old": time.Now().Add(-24 * time.Hour).Unix(), "none": nil} {
		f := newFake().answers(idToken(t, map[string]any{"auth_time": at, "nonce": nil}))
		if _, err := refresh(open(t, f, asking("0"))); err != nil {
			t.Errorf("auth_time %s: got %v, want tokens", name, err)
		}
	}
}

func TestAMaxAgeThatIsNoneIsRefusedAtOnce(t *testing.T) {
	for _, age := range []string{"", "-1", "+1", "1h", "1.5", " 1", "4294967296"} {
		cfg := config(newFake())
		asking(age)(&cfg)
		if _, err := idp.New(cfg); err == nil || !strings.Contains(err.Error(), "max_age in AuthorizeParams") {
			t.Errorf("%q: got %v, want it named", age, err)
		}
	}
}
