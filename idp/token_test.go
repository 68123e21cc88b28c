package idp_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vestibule/idp"
)

func TestExchangeSendsTheCodeOnceWithItsVerifierAndReturnsVerifiedTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls []idp.Call
		f := newFake().answers(idToken(t, map[string]any{"at_hash": atHash("access-1")}))
		p := open(t, f, func(c *idp.Config) { c.Observe = func(call idp.Call) { calls = append(calls, call) } })
		got, err := exchange(p)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		if got.AccessToken != "access-1" || got.RefreshToken != "refresh-2" || got.IDToken == "" || got.Scope != "" {
			t.Errorf("got tokens %#v", []string{got.AccessToken, got.RefreshToken, got.Scope})
		}
		if got.Subject != subject || got.SessionID != "provider-session" {
			t.Errorf("got subject %q, session %q", got.Subject, got.SessionID)
		}
		if want := `{"email":"ann@example.com","name":"Ann"}`; string(got.Claims) != want {
			t.Errorf("got claims %s, want %s", got.Claims, want)
		}
		if !got.Issued.Equal(now) || got.Expires.Sub(got.Issued) != time.Hour {
			t.Errorf("got life %v from %v", got.Expires.Sub(got.Issued), got.Issued)
		}
		want := url.Values{"grant_type": {"authorization_code"}, "code": {"code-1"}, "code_verifier": {verifier},
			"redirect_uri": {"https://app.example.com/api/auth/sign-in-callback"}}
		if len(f.forms) != 1 || !reflect.DeepEqual(f.forms[0], want) {
			t.Errorf("got forms %v, want one %v", f.forms, want)
		}
		// RFC 6749 section 2.3.1: & and + are encoded before base64.
		if want := "Basic " + base64.StdEncoding.EncodeToString([]byte("our-client:s3cret%26%2B")); f.auth[0] != want {
			t.Errorf("got Authorization %q, want %q", f.auth[0], want)
		}
		wantCalls := []idp.Call{{Operation: "discovery", Outcome: "ok"}, {Operation: "keys", Outcome: "ok"}, {Operation: "code", Outcome: "ok"}}
		if !reflect.DeepEqual(calls, wantCalls) {
			t.Errorf("observed %v, want %v", calls, wantCalls)
		}
	})
}

func TestClientAuthenticationIsTheConfiguredOne(t *testing.T) {
	for _, c := range []struct{ method, id, secret string }{
		{"client_secret_post", clientID, "s3cret&+"},
		{"none", clientID, ""},
		{"client_secret_basic", "", ""},
	} {
		t.Run(c.method, func(t *testing.T) {
			f := newFake().answers("")
			p := open(t, f, func(cfg *idp.Config) { cfg.ClientAuth = c.method })
			if _, err := refresh(p); err != nil {
				t.Fatal(err)
			}
			if got := f.forms[0].Get("client_id"); got != c.id {
				t.Errorf("got client_id %q, want %q", got, c.id)
			}
			if got := f.forms[0].Get("client_secret"); got != c.secret {
				t.Errorf("got client_secret %q, want %q", got, c.secret)
			}
			if got, want := f.auth[0] != "", c.method == "client_secret_basic"; got != want {
				t.Errorf("Authorization header present: %v, want %v", got, want)
			}
		})
	}
}

func TestAnEmptySecretIsNotSent(t *testing.T) {
	f := newFake().answers("")
	p := open(t, f, func(c *idp.Config) { c.ClientSecret = func() []byte { return nil } })
	if _, err := refresh(p); !errors.Is(err, idp.ErrMisconfigured) || f.count("/token") != 0 {
		t.Errorf("got %v after %d requests, want ErrMisconfigured after none", err, f.count("/token"))
	}
}

func TestRefreshKeepsTheOldRefreshTokenWhenNoneComesBack(t *testing.T) {
	f := newFake().answers("")
	f.set(func(f *fake) { delete(f.answer, "refresh_token"); f.answer["scope"] = "openid email" })
	got, err := refresh(open(t, f))
	if err != nil {
		t.Fatal(err)
	}
	if got.RefreshToken != "refresh-1" || got.Subject != subject || got.Claims != nil || got.Scope != "openid email" {
		t.Errorf("got refresh token kept %v, subject %q, claims %s, scope %q", got.RefreshToken == "refresh-1", got.Subject, got.Claims, got.Scope)
	}
}

func TestRefreshSendsResourceAndAudienceAndNoOtherParameter(t *testing.T) {
	f := newFake().answers("")
	p := open(t, f, func(c *idp.Config) {
		c.AuthorizeParams = map[string]string{"resource": "https://api.example.com", "audience": "api", "lang": "ja"}
	})
	if _, err := p.Refresh(context.Background(), idp.RefreshRequest{RefreshToken: "refresh-1", Subject: subject}); err != nil {
		t.Fatal(err)
	}
	want := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"refresh-1"},
		"resource": {"https://api.example.com"}, "audience": {"api"}}
	if !reflect.DeepEqual(f.forms[0], want) {
		t.Errorf("got %v, want %v", f.forms[0], want)
	}
}

// One row per kind of answer: what it is, how often the provider is asked, whether the token may be spent.
func TestAnswersOfTheTokenEndpointAreClassified(t *testing.T) {
	oauth := func(code string) string { return fmt.Sprintf(`{"error":%q}`, code) }
	aws := func(name string) string { return fmt.Sprintf(`{"__type":%q,"message":"m"}`, name) }
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		kind    error
		code    string
		asked   int
		lost    bool
	}{
		"invalid_grant is definite":                {status(400, oauth("invalid_grant")), idp.ErrRefused, "invalid_grant", 1, false},
		"invalid_grant under 401 (old Keycloak)":   {status(401, oauth("invalid_grant")), idp.ErrRefused, "invalid_grant", 1, false},
		"invalid_grant under 403 (Auth0)":          {status(403, oauth("invalid_grant")), idp.ErrRefused, "invalid_grant", 1, false},
		"invalid_grant under 200":                  {status(200, oauth("invalid_grant")), idp.ErrRefused, "invalid_grant", 1, false},
		"the user has to sign in again":            {status(400, oauth("interaction_required")), idp.ErrRefused, "interaction_required", 1, false},
		"Cognito: not authorized":                  {status(400, aws("NotAuthorizedException")), idp.ErrRefused, "NotAuthorizedException", 1, false},
		"Cognito: refresh token reused":            {status(400, aws("RefreshTokenReuseException")), idp.ErrRefused, "RefreshTokenReuseException", 1, false},
		"Cognito: token revoked":                   {status(400, aws("ns#TokenRevokedException")), idp.ErrRefused, "TokenRevokedException", 1, false},
		"Cognito: user not found":                  {status(400, aws("UserNotFoundException")), idp.ErrRefused, "UserNotFoundException", 1, false},
		"Cognito: password reset":                  {status(400, aws("PasswordResetRequiredException")), idp.ErrRefused, "PasswordResetRequiredException", 1, false},
		"Cognito: user not confirmed":              {status(400, aws("UserNotConfirmedException")), idp.ErrRefused, "UserNotConfirmedException", 1, false},
		"429":                                      {status(429, ""), idp.ErrThrottled, "", 3, false},
		"429 with a page":                          {status(429, "<html>", "Content-Type", "text/html"), idp.ErrThrottled, "", 3, false},
		"Cognito throttles with 400":               {status(400, aws("TooManyRequestsException")), idp.ErrThrottled, "TooManyRequestsException", 3, false},
		"Cognito throttles with a namespace":       {status(400, aws("com.amazonaws#TooManyRequestsException")), idp.ErrThrottled, "TooManyRequestsException", 3, false},
		"503 was not processed":                    {status(503, ""), idp.ErrUnavailable, "", 3, false},
		"500 may have been processed":              {status(500, ""), idp.ErrUnavailable, "", 1, true},
		"a 500 cannot be believed about the grant": {status(500, oauth("invalid_grant")), idp.ErrUnavailable, "invalid_grant", 1, true},
		"502 may have been processed":              {status(502, "<html>", "Content-Type", "text/html"), idp.ErrUnavailable, "", 1, true},
		"504 may have been processed":              {status(504, ""), idp.ErrUnavailable, "", 1, true},
		"server_error with 400":                    {status(400, oauth("server_error")), idp.ErrUnavailable, "server_error", 1, true},
		"temporarily_unavailable":                  {status(400, oauth("temporarily_unavailable")), idp.ErrUnavailable, "temporarily_unavailable", 1, false},
		"408":                                      {status(408, ""), idp.ErrUnavailable, "", 1, true},
		"invalid_client":                           {status(401, oauth("invalid_client")), idp.ErrMisconfigured, "invalid_client", 1, false},
		"unauthorized_client":                      {status(400, oauth("unauthorized_client")), idp.ErrMisconfigured, "unauthorized_client", 1, false},
		"unsupported_grant_type":                   {status(400, oauth("unsupported_grant_type")), idp.ErrMisconfigured, "unsupported_grant_type", 1, false},
		"invalid_scope":                            {status(400, oauth("invalid_scope")), idp.ErrMisconfigured, "invalid_scope", 1, false},
		"invalid_request":                          {status(400, oauth("invalid_request")), idp.ErrMisconfigured, "invalid_request", 1, false},
		"400 without a word":                       {status(400, ""), idp.ErrMisconfigured, "", 1, false},
		"400 with an unknown code":                 {status(400, oauth("no_such_code")), idp.ErrMisconfigured, "no_such_code", 1, false},
		"400 with something that is no code":       {status(400, oauth("A1b2.C3 d4")), idp.ErrMisconfigured, "other", 1, false},
		"400 with an error that is an object":      {status(400, `{"error":{"code":"invalid_grant"}}`), idp.ErrMisconfigured, "", 1, false},
		"404":                                      {status(404, ""), idp.ErrMisconfigured, "", 1, false},
		"a redirect is not followed":               {status(302, "", "Location", issuer+"/elsewhere"), idp.ErrMisconfigured, "", 1, false},
		"307 is not followed either":               {status(307, "", "Location", issuer+"/elsewhere"), idp.ErrMisconfigured, "", 1, false},
		"200 with a page":                          {status(200, `{"access_token":"x"}`, "Content-Type", "text/html; charset=utf-8"), idp.ErrMalformed, "", 1, true},
		"200 with nothing":                         {status(200, ""), idp.ErrMalformed, "", 1, true},
		"200 with a list":                          {status(200, "[]"), idp.ErrMalformed, "", 1, true},
		"200 without an access token":              {status(200, `{"id_token":"x"}`), idp.ErrMalformed, "", 1, true},
		"200 with an unknown error":                {status(200, oauth("odd")), idp.ErrMalformed, "odd", 1, true},
		"200 with another token type":              {status(200, `{"access_token":"x","token_type":"DPoP"}`), idp.ErrMalformed, "", 1, true},
		"200 with a line break in the token":       {status(200, `{"access_token":"x\ny"}`), idp.ErrMalformed, "", 1, true},
		"200 with a token without end":             {status(200, `{"access_token":"`+strings.Repeat("x", 70<<10)+`"}`), idp.ErrMalformed, "", 1, true},
		"200 that never ends":                      {status(200, `{"access_token":"x","pad":"`+strings.Repeat("x", 1<<20)+`"}`), idp.ErrMalformed, "", 1, true},
		"200 with two documents":                   {status(200, `{"access_token":"x"}{}`), idp.ErrMalformed, "", 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.on("/token", c.handler)
				_, err := refresh(open(t, f))
				fail, ok := errors.AsType[*idp.Error](err)
				if !ok || !errors.Is(err, c.kind) || fail.Kind != c.kind {
					t.Fatalf("got %v, want %v", err, c.kind)
				}
				if fail.Code != c.code || fail.Lost != c.lost || fail.Operation != "refresh" {
					t.Errorf("got code %q, lost %v, operation %q; want %q, %v", fail.Code, fail.Lost, fail.Operation, c.code, c.lost)
				}
				if got := f.count("/token"); got != c.asked {
					t.Errorf("asked %d times, want %d", got, c.asked)
				}
				if f.count("/elsewhere") != 0 {
					t.Error("followed a redirect")
				}
			})
		})
	}
}

func TestAnswersThatAreUnusualButRightAreAccepted(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"JSON called text/plain":  status(200, `{"access_token":"x"}`, "Content-Type", "text/plain"),
		"no content type":         status(200, `{"access_token":"x"}`, "Content-Type", ""),
		"token_type in lowercase": status(200, `{"access_token":"x","token_type":"bearer"}`),
		"201":                     status(201, `{"access_token":"x"}`),
		"nulls":                   status(200, `{"access_token":"x","refresh_token":null,"id_token":null,"scope":null,"expires_in":null}`),
		"scope as a list":         status(200, `{"access_token":"x","scope":["openid"]}`),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			f.on("/token", handler)
			if got, err := refresh(open(t, f)); err != nil || got.AccessToken != "x" || got.Scope != "" {
				t.Errorf("got %v, %v", got.AccessToken, err)
			}
		})
	}
}

func TestThrottlingThatPassesIsRiddenOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake().answers("")
		f.on("/token", func(w http.ResponseWriter, r *http.Request) {
			if f.count("/token") < 3 {
				status(429, "", "Retry-After", "2")(w, r)
				return
			}
			f.serve(w, r)
		})
		start := time.Now()
		if _, err := refresh(open(t, f)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 4*time.Second || took > 5*time.Second {
			t.Errorf("took %v, want what Retry-After asked: twice 2s", took)
		}
	})
}

func TestRetryAfterThatDoesNotFitGivesUpAtOnceAndIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		header string
		want   time.Duration
	}{
		"seconds":            {"30", 30 * time.Second},
		"a leading zero":     {"030", 30 * time.Second},
		"a date":             {"Sat, 01 Jan 2000 00:00:42 GMT", 42 * time.Second},
		"more than an hour":  {"86400", time.Hour},
		"more than a number": {"99999999999999999999999", time.Hour},
		"a far date":         {"Sat, 01 Jan 2050 00:00:00 GMT", time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.on("/token", status(503, "", "Retry-After", c.header))
				start := time.Now()
				_, err := refresh(open(t, f))
				fail, _ := errors.AsType[*idp.Error](err)
				if fail == nil || fail.RetryAfter != c.want || fail.Kind != idp.ErrUnavailable {
					t.Errorf("got %v with %v, want %v", err, fail.RetryAfter, c.want)
				}
				if f.count("/token") != 1 || time.Since(start) != 0 {
					t.Errorf("asked %d times in %v, want once in no time", f.count("/token"), time.Since(start))
				}
			})
		})
	}
}

func TestRefreshIsRepeatedOnlyWhenItCertainlyDidNotArrive(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		asked int
		lost  bool
	}{
		"refused connection": {&net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}, 3, false},
		"no such host":       {&net.DNSError{Err: "no such host", Name: "id.example.com"}, 3, false},
		"reset connection":   {&net.OpError{Op: "read", Net: "tcp", Err: errors.New("connection reset")}, 1, true},
		"closed connection":  {io.ErrUnexpectedEOF, 1, true},
		"anything else":      {errors.New("malformed HTTP response \"refresh-1\""), 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.fail = func(r *http.Request) error {
					if r.URL.Path == "/token" {
						return c.err
					}
					return nil
				}
				_, err := refresh(open(t, f))
				fail, _ := errors.AsType[*idp.Error](err)
				if fail == nil || fail.Kind != idp.ErrUnavailable || fail.Lost != c.lost {
					t.Errorf("got %v, want ErrUnavailable, lost %v", err, c.lost)
				}
				if got := f.count("/token"); got != c.asked {
					t.Errorf("asked %d times, want %d", got, c.asked)
				}
				if strings.Contains(err.Error(), "refresh-1") {
					t.Errorf("the error tells the refresh token: %v", err)
				}
			})
		})
	}
}

func TestAStalledProviderCostsTenSecondsAndOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.on("/token", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		start := time.Now()
		_, err := refresh(open(t, f))
		fail, _ := errors.AsType[*idp.Error](err)
		if fail == nil || fail.Kind != idp.ErrUnavailable || !fail.Lost || f.count("/token") != 1 {
			t.Errorf("got %v after %d requests, want a lost one", err, f.count("/token"))
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("took %v, want 10s", took)
		}
	})
}

func TestACallerWhoLeavesIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.on("/token", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := open(t, f).Refresh(ctx, idp.RefreshRequest{RefreshToken: "refresh-1", Subject: subject})
		if !errors.Is(err, idp.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

func TestExpiryIsTheEarliestThatAnybodyStates(t *testing.T) {
	jwtUntil := func(exp any) string {
		return idToken(t, map[string]any{"exp": exp})
	}
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		for name, c := range map[string]struct {
			token, expiresIn string
			want             time.Duration
		}{
			"expires_in alone":                 {"opaque", "600", 10 * time.Minute},
			"in quotes":                        {"opaque", `"600"`, 10 * time.Minute},
			"with a fraction":                  {"opaque", "600.5", 10*time.Minute + time.Second/2},
			"the token's own exp is earlier":   {jwtUntil(now.Unix() + 60), "600", time.Minute},
			"the token's own exp is later":     {jwtUntil(now.Unix() + 6000), "600", 10 * time.Minute},
			"no expires_in but exp":            {jwtUntil(now.Unix() + 60), "null", time.Minute},
			"neither":                          {"opaque", "null", 5 * time.Minute},
			"nonsense":                         {"a.b.c", `"soon"`, 5 * time.Minute},
			"zero says nothing":                {"opaque", "0", 5 * time.Minute},
			"negative says nothing":            {"opaque", "-5", 5 * time.Minute},
			"for ever is a year":               {"opaque", "1e300", 365 * 24 * time.Hour},
			"an exp beyond time is no exp":     {jwtUntil(1e300), "600", 10 * time.Minute},
			"an exp that is no number is none": {jwtUntil("soon"), "600", 10 * time.Minute},
		} {
			f := newFake()
			f.on("/token", status(200, fmt.Sprintf(`{"access_token":%q,"expires_in":%s}`, c.token, c.expiresIn)))
			got, err := refresh(open(t, f))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if life := got.Expires.Sub(got.Issued); life != c.want {
				t.Errorf("%s: got a life of %v, want %v", name, life, c.want)
			}
		}
	})
}

func TestExchangeRefusesToStartWithoutWhatProtectsIt(t *testing.T) {
	for name, c := range map[string]struct {
		callback idp.Callback
		pending  idp.Pending
		want     error
	}{
		"no code":          {idp.Callback{}, idp.Pending{Verifier: verifier, Nonce: nonce}, idp.ErrRefused},
		"an endless code":  {idp.Callback{Code: strings.Repeat("c", 9<<10)}, idp.Pending{Verifier: verifier, Nonce: nonce}, idp.ErrRefused},
		"no nonce":         {idp.Callback{Code: "c"}, idp.Pending{Verifier: verifier}, idp.ErrUntrusted},
		"no verifier":      {idp.Callback{Code: "c"}, idp.Pending{Nonce: nonce}, idp.ErrUntrusted},
		"a foreign issuer": {idp.Callback{Code: "c", Issuer: "https://evil.example", IssuerPresent: true}, idp.Pending{Verifier: verifier, Nonce: nonce}, idp.ErrUntrusted},
		"an empty issuer":  {idp.Callback{Code: "c", IssuerPresent: true}, idp.Pending{Verifier: verifier, Nonce: nonce}, idp.ErrUntrusted},
	} {
		f := newFake().answers("")
		if _, err := open(t, f).Exchange(context.Background(), c.callback, c.pending); !errors.Is(err, c.want) || f.count("/token") != 0 {
			t.Errorf("%s: got %v after %d requests, want %v after none", name, err, f.count("/token"), c.want)
		}
	}
}
