package idp_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"vestibule/idp"
)

// Whatever the provider does with them, the secrets of a call are in no error and no log line.
func TestNoErrorOrLogLineTellsASecret(t *testing.T) {
	const plant = "Pl4nt" // every secret of this test begins with it
	secrets := plant + `-echo`
	echo := `{"error":"` + secrets + `","error_description":"` + secrets + `","__type":"` + secrets + `"}`
	for name, handler := range map[string]http.HandlerFunc{
		"echoed in an error":        status(400, echo),
		"echoed in a 401":           status(401, echo),
		"echoed in a 500":           status(500, echo),
		"echoed as a page":          status(200, "<html>"+secrets, "Content-Type", "text/html"),
		"echoed as text":            status(200, secrets),
		"echoed in a redirect":      status(302, secrets, "Location", "https://x.example/?"+secrets),
		"echoed in a location":      status(307, "", "Location", "::"+secrets),
		"echoed in Retry-After":     status(503, "", "Retry-After", secrets),
		"echoed in the token type":  status(200, `{"access_token":"`+secrets+`","token_type":"`+secrets+`"}`),
		"a bad ID token":            status(200, `{"access_token":"`+secrets+`","id_token":"`+secrets+`.`+secrets+`.`+secrets+`"}`),
		"an ID token with bad JSON": status(200, `{"access_token":"`+secrets+`","id_token":"`+strings.Repeat(secrets, 3)+`"}`),
		"cut short":                 status(200, `{"access_token":"`+secrets),
		"stalled":                   func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log strings.Builder
				f := newFake()
				for _, path := range []string{"/token", "/revoke"} {
					f.on(path, handler)
				}
				p := open(t, f, func(c *idp.Config) {
					c.ClientSecret = func() []byte { return []byte(plant + "-client") }
					c.RefreshSecret = func(context.Context) error { return errors.New(plant + "-store") }
					c.ClientAuth = "client_secret_post"
					c.Logger = slog.New(slog.NewTextHandler(&log, nil))
				})
				ctx := context.Background()
				_, err1 := p.Exchange(ctx, idp.Callback{Code: plant + "-code"}, idp.Pending{Verifier: plant + "-verifier", Nonce: plant + "-nonce"})
				_, err2 := p.Refresh(ctx, idp.RefreshRequest{RefreshToken: plant + "-refresh", Subject: subject})
				err3 := p.Revoke(ctx, plant+"-refresh")
				if err1 == nil || err2 == nil {
					t.Fatalf("got %v, %v, want errors", err1, err2)
				}
				for _, err := range []error{err1, err2, err3} {
					texts := fmt.Sprintf("%v %+v %q", err, err, log.String())
					for e := err; e != nil; e = errors.Unwrap(e) {
						texts += e.Error()
					}
					if strings.Contains(texts, plant) {
						t.Errorf("tells a secret: %s", texts)
					}
				}
			})
		})
	}
}

func TestErrorsAboutAnAddressLeaveOutItsQuery(t *testing.T) {
	f := newFake()
	f.doc["jwks_uri"] = issuer + "/keys?key=Pl4nt"
	f.on("/keys", status(404, ""))
	err := open(t, f).Check(context.Background())
	if err == nil || strings.Contains(err.Error(), "Pl4nt") || !strings.Contains(err.Error(), issuer+"/keys") {
		t.Errorf("got %v", err)
	}
}

func TestAnErrorIsOneShortPrintableLine(t *testing.T) {
	f := newFake()
	f.doc["issuer"] = "evil\n\x1b[31m" + strings.Repeat("x", 5000)
	err := open(t, f, func(c *idp.Config) { c.Issuer = issuer }).Check(context.Background())
	if err == nil || len(err.Error()) > 500 || strings.ContainsAny(err.Error(), "\n\x1b") {
		t.Errorf("got %q", err)
	}
}

func TestTokensPrintAsRedacted(t *testing.T) {
	var log strings.Builder
	tokens := idp.Tokens{AccessToken: "plant-1", RefreshToken: "plant-2", IDToken: "plant-3"}
	request := idp.RefreshRequest{RefreshToken: "plant-4"}
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "tokens", tokens, "request", request)
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s", tokens, tokens, tokens, &tokens), fmt.Sprintf("%v %+v %#v", request, request, request), log.String()} {
		if strings.Contains(text, "plant-") {
			t.Errorf("printed a token: %s", text)
		}
	}
}
