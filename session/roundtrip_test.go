package session_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"vestibule/session"
)

// whole is a session without what only its maker sees, for comparison.
type whole struct {
	ID                                     session.ID
	Started, Seen, Issued, Expires         int64
	Generation                             uint32
	Access, Refresh, IDToken, Nonce, Scope string
	Subject, ProviderID, Claims            string
}

func wholeOf(s *session.Session) whole {
	t := s.Tokens
	return whole{
		s.ID, s.Started.Unix(), s.Seen.Unix(), t.Issued.Unix(), t.Expires.Unix(), s.Generation,
		t.AccessToken, t.RefreshToken, t.IDToken, t.Nonce, t.Scope, t.Subject, t.ProviderID, string(t.Claims),
	}
}

func TestWhatIsSealedIsWhatIsLoaded(t *testing.T) {
	jwt := accessToken()
	for name, token := range map[string]string{
		"a JWT":                                  jwt,
		"a JWE":                                  refreshToken(),
		"opaque":                                 "ya29.a0AfH6SMBx-_~+/=",
		"one character":                          "x",
		"no dots, good base64":                   "abcd",
		"no dots, base64 with trailing bits set": "abc9",
		"padded base64":                          "eyJhIjoxfQ==.e30=.AA==",
		"standard base64 alphabet":               "ab+/.cd+/.ef+/",
		"a line break that decoders skip":        "abcd\nabcd.ab\r\ncd",
		"empty parts":                            "..",
		"an empty part in the middle":            "abcd..abcd",
		"a dot at the end":                       "abcd.",
		"a dot at the start":                     ".abcd",
		"seven dots, the most that are split":    "a.b.c.d.e.f.g.h",
		"eight dots":                             "YQ.YQ.YQ.YQ.YQ.YQ.YQ.YQ.YQ",
		"nine dots":                              ".........",
		"unicode":                                "пароль.秘密.🔑",
		"bytes that are no UTF-8":                "\xff\xfe.\x00.\x80",
		"JSON that is no token":                  `{"access":"token"}`,
		"an unpadded JSON part":                  base64.RawURLEncoding.EncodeToString([]byte("{")) + ".x",
		"long and opaque":                        strings.Repeat("k5", 500),
		"long and of one letter":                 strings.Repeat("=", 30_000),
		"a JWT without its signature":            jwt[:strings.LastIndexByte(jwt, '.')+1],
		"a JWT with a character too many":        jwt + "A",
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, forgetful, frozen)
			now := h.config.Now()
			in := session.Tokens{
				AccessToken: token, RefreshToken: token + "r", IDToken: "i" + token, Issued: now, Expires: now.Add(time.Hour),
				Scope: token[:min(100, len(token))], Subject: "søren", ProviderID: "\x00", Claims: json.RawMessage(`{"a":"é"}`),
			}
			b := &browser{}
			s, cookies, err := h.Start(t.Context(), in, nil, "")
			if err != nil {
				t.Fatal(err)
			}
			b.take(cookies)
			if got, want := wholeOf(h.load(t, b)), wholeOf(s); !reflect.DeepEqual(got, want) {
				t.Errorf("loaded\n%+v\nwant\n%+v", got, want)
			}
		})
	}
}

func TestASessionWithNothingButAnAccessTokenIsWhole(t *testing.T) {
	h := newHouse(t, forgetful, frozen)
	now := h.config.Now()
	b := &browser{}
	s, cookies, err := h.Start(t.Context(), session.Tokens{AccessToken: "a", Issued: now, Expires: now.Add(time.Minute)}, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	b.take(cookies)
	got := h.load(t, b)
	if !reflect.DeepEqual(wholeOf(got), wholeOf(s)) || got.Tokens.Claims != nil {
		t.Errorf("loaded %+v, want %+v", got, s)
	}
}

// Verifying the ID token takes time: the tokens are older than the session. Their end must not move for it.
func TestTokensReceivedBeforeTheSessionBeganDoNotLiveLonger(t *testing.T) {
	h := newHouse(t, forgetful, frozen)
	now := h.config.Now().Truncate(time.Second)
	b := &browser{}
	_, cookies, err := h.Start(t.Context(), session.Tokens{AccessToken: "a", Issued: now.Add(-5 * time.Second), Expires: now.Add(time.Minute)}, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	b.take(cookies)
	if got, want := h.load(t, b).Tokens.Expires, now.Add(time.Minute); !got.Equal(want) {
		t.Errorf("the token expires at %s, want %s", got, want)
	}
}

func TestAbsurdLifetimesStayReadable(t *testing.T) {
	for name, life := range map[string]time.Duration{"two centuries": 200 * 365 * 24 * time.Hour, "none": 0, "negative": -time.Hour} {
		h := newHouse(t, forgetful, frozen)
		now := h.config.Now()
		b := &browser{}
		_, cookies, err := h.Start(t.Context(), session.Tokens{AccessToken: "a", RefreshToken: "r", Issued: now, Expires: now.Add(life)}, nil, "")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b.take(cookies)
		s := h.load(t, b)
		if life <= 0 && s.Left(now) > 0 {
			t.Errorf("%s: a token that was over has %s left", name, s.Left(now))
		}
		if life > 0 && s.Left(now) < 50*365*24*time.Hour {
			t.Errorf("%s: %s left", name, s.Left(now))
		}
	}
}

func TestASessionTooLargeIsRefusedAndNothingIsStarted(t *testing.T) {
	now := time.Now()
	for name, token := range map[string]string{
		"more than the chunks hold":                    part(noise(1, 20_000)),
		"small when sealed, too large when unfolded":   part([]byte("{" + strings.Repeat("a", 200_000))),
		"small when sealed, of bytes that are escaped": part([]byte("{" + strings.Repeat("\xff", 100_000))),
		"as large, of text that stands there as it is": strings.Repeat("=", 200_000),
	} {
		h := newHouse(t)
		old, b := h.signIn(t)
		_, cookies, err := h.Start(t.Context(), session.Tokens{AccessToken: token, Issued: now, Expires: now.Add(time.Hour)}, b.header(), "")
		if !errors.Is(err, session.ErrTooLarge) || cookies != nil {
			t.Errorf("%s: %d cookies, %v; want ErrTooLarge", name, len(cookies), err)
		}
		if s := h.load(t, b); s.ID != old.ID {
			t.Errorf("%s: the session that was there is gone", name)
		}
	}
}
