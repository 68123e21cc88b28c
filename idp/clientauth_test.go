package idp_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vestibule/idp"
)

func TestAClientSecretThatWasRotatedIsFetchedAfreshAndTheCallRepeatedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secret, fetched := "old", 0
		f := newFake().answers("")
		f.on("/token", func(w http.ResponseWriter, r *http.Request) {
			if _, password, _ := r.BasicAuth(); password != "new" {
				status(401, `{"error":"invalid_client"}`)(w, r)
				return
			}
			f.serve(w, r)
		})
		p := open(t, f, func(c *idp.Config) {
			c.ClientSecret = func() []byte { return []byte(secret) }
			c.RefreshSecret = func(context.Context) error { secret = "new"; fetched++; return nil }
		})
		if _, err := refresh(p); err != nil {
			t.Fatal(err)
		}
		if fetched != 1 || f.count("/token") != 2 {
			t.Errorf("fetched %d times, asked %d times; want 1 and 2", fetched, f.count("/token"))
		}
	})
}

func TestAWrongClientSecretDoesNotFloodTheSecretStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetched := 0
		f := newFake()
		f.on("/token", status(401, `{"error":"invalid_client"}`))
		p := open(t, f, func(c *idp.Config) {
			c.RefreshSecret = func(context.Context) error { fetched++; return nil }
		})
		for range 5 {
			if _, err := refresh(p); !errors.Is(err, idp.ErrMisconfigured) {
				t.Fatalf("got %v, want ErrMisconfigured", err)
			}
		}
		if fetched != 1 || f.count("/token") != 6 {
			t.Errorf("fetched %d times, asked %d times; want 1 and 6", fetched, f.count("/token"))
		}
		pass(10 * time.Second)
		_, _ = refresh(p)
		if fetched != 2 {
			t.Errorf("fetched %d times after the floor, want 2", fetched)
		}
	})
}

// spending is a token endpoint that spends a grant before it looks at who sends it: the first answer is invalid_client, and
// every later one invalid_grant.
func spending(f *fake) *fake {
	f.on("/token", func(w http.ResponseWriter, r *http.Request) {
		if f.count("/token") == 1 {
			status(401, `{"error":"invalid_client"}`)(w, r)
			return
		}
		status(400, `{"error":"invalid_grant"}`)(w, r)
	})
	return f
}

// A session must not end for the operator's mistake: with the secret that was refused, no word about the grant counts.
func TestAGrantIsNotRefusedToWhoseSecretIs(t *testing.T) {
	for name, row := range map[string]struct {
		fetch func(context.Context) error
		asked int
	}{
		"a literal secret, which nothing fetches": {nil, 1},
		"fetched, and still the same":             {func(context.Context) error { return nil }, 2},
		"cannot be fetched":                       {func(context.Context) error { return errors.New("s3cret&+") }, 1},
	} {
		for operation, try := range map[string]func(*idp.Provider) (idp.Tokens, error){"code": exchange, "refresh": refresh} {
			t.Run(name+", "+operation, func(t *testing.T) {
				f := spending(newFake())
				p, log := logged(t, f, func(c *idp.Config) { c.RefreshSecret = row.fetch })
				_, err := try(p)
				if !errors.Is(err, idp.ErrMisconfigured) || errors.Is(err, idp.ErrRefused) || f.count("/token") != row.asked {
					t.Errorf("got %v after %d requests, want ErrMisconfigured after %d", err, f.count("/token"), row.asked)
				}
				if fail, ok := errors.AsType[*idp.Error](err); !ok || fail.Status != 401 || fail.Code != "invalid_client" {
					t.Errorf("got %v, want what the provider said of the client", err)
				}
				checkRefusalLog(t, log.String(), operation)
			})
		}
	}
}

// Nobody listens to a second answer about the first: that the client was refused is in the log all the same.
func TestARefusedClientIsLoggedEvenWhereTheRepeatedRequestSaysSomethingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secret := "s3cret&+"
		f := spending(newFake())
		p, log := logged(t, f, func(c *idp.Config) {
			c.ClientSecret = func() []byte { return []byte(secret) }
			c.RefreshSecret = func(context.Context) error { secret = "s3cret&+2"; return nil }
		})
		if _, err := refresh(p); !errors.Is(err, idp.ErrRefused) || f.count("/token") != 2 {
			t.Errorf("got %v after %d requests, want ErrRefused after two", err, f.count("/token"))
		}
		checkRefusalLog(t, log.String(), "refresh")
	})
}

func TestARefusedPublicClientIsLogged(t *testing.T) {
	f := newFake()
	f.on("/token", status(401, ""))
	p, log := logged(t, f, func(c *idp.Config) { c.ClientSecret = nil })
	if _, err := refresh(p); !errors.Is(err, idp.ErrMisconfigured) || f.count("/token") != 1 {
		t.Errorf("got %v after %d requests, want ErrMisconfigured after one", err, f.count("/token"))
	}
	checkRefusalLog(t, log.String(), "refresh")
}

// checkRefusalLog wants one record at ERROR that the client was refused, and no secret.
func checkRefusalLog(t *testing.T, log, operation string) {
	t.Helper()
	const refused = `"level":"ERROR","msg":"the provider refuses our client","operation":`
	if strings.Count(log, refused) != 1 || !strings.Contains(log, refused+`"`+operation+`","status":401`) {
		t.Errorf("log: got %s, want one record of a refused client at %s", log, operation)
	}
	for _, secret := range []string{"s3cret", "code-1", "refresh-1", verifier} {
		if strings.Contains(log, secret) {
			t.Errorf("the log tells %s: %s", secret, log)
		}
	}
}
