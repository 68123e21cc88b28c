package devidp_test

import (
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"vestibule/idp/devidp"
)

func TestRefreshRotatesAndKeepsWhatBelongsToTheSignIn(t *testing.T) {
	b := start(t)
	first := b.signedIn()
	b.clock.advance(10 * time.Minute)
	second := b.refresh(first.Refresh).tokens(t)
	if second.Refresh == "" || second.Refresh == first.Refresh || second.Access == first.Access {
		t.Error("nothing new")
	}
	was, is := part(t, first.ID, 1), part(t, second.ID, 1)
	for _, kept := range []string{"sub", "auth_time", "origin_jti", "aud", "iss"} {
		if was[kept] != is[kept] {
			t.Errorf("%s went from %v to %v", kept, was[kept], is[kept])
		}
	}
	if is["iat"] == was["iat"] || is["nonce"] != nil {
		t.Errorf("iat %v, nonce %v", is["iat"], is["nonce"])
	}
	b.refresh(second.Refresh).tokens(t)
}

func TestRefreshMayRepeatTheNonce(t *testing.T) {
	b := start(t, func(c *devidp.Config) { c.NonceOnRefresh = true })
	if got := part(t, b.refresh(b.signedIn().Refresh).tokens(t).ID, 1)["nonce"]; got != "the-nonce" {
		t.Errorf("nonce is %v", got)
	}
}

func TestReuseOfARotatedTokenRevokesTheFamily(t *testing.T) {
	b := start(t)
	other := b.signedIn()
	first := b.signedIn()
	second := b.refresh(first.Refresh).tokens(t)
	b.refresh(first.Refresh).wantOAuth(t, http.StatusBadRequest, "invalid_grant")
	b.refresh(second.Refresh).wantOAuth(t, http.StatusBadRequest, "invalid_grant")
	b.refresh(other.Refresh).tokens(t) // another sign-in of the same person lives on
	if st := b.s.Stats(); st.Reuses != 1 || st.Refresh != (devidp.Calls{Asked: 4, OK: 2, Refused: 2}) {
		t.Errorf("counted %+v", st)
	}
}

func TestWithinTheGraceARotatedTokenStillAnswers(t *testing.T) {
	b := start(t, func(c *devidp.Config) { c.Grace = 30 * time.Second })
	first := b.signedIn()
	second := b.refresh(first.Refresh).tokens(t)
	b.clock.advance(29 * time.Second)
	third := b.refresh(first.Refresh).tokens(t)
	b.refresh(second.Refresh).tokens(t)
	b.clock.advance(time.Second) // the grace counts from the first use, not the last
	b.refresh(first.Refresh).wantOAuth(t, http.StatusBadRequest, "invalid_grant")
	b.refresh(third.Refresh).wantOAuth(t, http.StatusBadRequest, "invalid_grant")
}

func TestWithoutRotationTheTokenStaysAndIsNotRepeated(t *testing.T) {
	b := start(t, func(c *devidp.Config) { c.NoRotation = true })
	first := b.signedIn()
	for range 3 {
		if got := b.refresh(first.Refresh).tokens(t); got.Refresh != "" || got.Access == "" {
			t.Errorf("refresh_token %q", got.Refresh)
		}
	}
}

func TestRotatedTokensKeepTheFirstExpiry(t *testing.T) {
	b := start(t, func(c *devidp.Config) { c.RefreshLife = time.Hour })
	got := b.signedIn()
	b.clock.advance(59 * time.Minute)
	got = b.refresh(got.Refresh).tokens(t)
	b.clock.advance(time.Minute)
	b.refresh(got.Refresh).wantOAuth(t, http.StatusBadRequest, "invalid_grant")
}

func TestOfManyWhoRefreshAtOnceOneWins(t *testing.T) {
	b := start(t)
	got := b.signedIn()
	const callers = 32
	status := make([]int, callers)
	var all sync.WaitGroup
	gate := make(chan struct{})
	for i := range callers {
		all.Go(func() {
			<-gate
			status[i] = b.quietRefresh(got.Refresh)
		})
	}
	close(gate)
	all.Wait()
	counts := map[int]int{}
	for _, s := range status {
		counts[s]++
	}
	if counts[http.StatusOK] != 1 || counts[http.StatusBadRequest] != callers-1 {
		t.Errorf("got %v, want one 200 and %d times 400", counts, callers-1)
	}
	if st := b.s.Stats().Refresh; st != (devidp.Calls{Asked: callers, OK: 1, Refused: callers - 1}) {
		t.Errorf("counted %+v", st)
	}
}

// quietRefresh may run outside the test's goroutine; 0 stands for a call that failed.
func (b *bench) quietRefresh(token string) int {
	req := b.request("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
	req.SetBasicAuth(b.s.ClientID(), b.s.ClientSecret())
	res, err := b.http.Do(req)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	return res.StatusCode
}

func TestRevokingAUserEndsHisSessionsOnly(t *testing.T) {
	b := start(t)
	alice, bruno := b.s.Users()[0], b.s.Users()[1]
	hers, pending := b.signedIn(), b.code()
	at, err := b.s.SignIn(t.Context(), b.authorizeURL(), bruno)
	if err != nil {
		t.Fatal(err)
	}
	his := b.exchange(query(t, at).Get("code")).tokens(t)
	if !b.s.RevokeUser(alice.Sub) || b.s.RevokeUser("nobody") {
		t.Error("who exists was reported wrongly")
	}
	b.refresh(hers.Refresh).wantOAuth(t, http.StatusBadRequest, "invalid_grant")
	b.exchange(pending).wantOAuth(t, http.StatusBadRequest, "invalid_grant")
	b.refresh(his.Refresh).tokens(t)
	b.signedIn() // she may sign in again
}

func TestADisabledUserGetsNothingUntilEnabled(t *testing.T) {
	b := start(t)
	alice := b.s.Users()[0]
	got := b.signedIn()
	if !b.s.DisableUser(alice.Email) {
		t.Fatal("alice is unknown")
	}
	b.refresh(got.Refresh).wantOAuth(t, http.StatusBadRequest, "invalid_grant")
	if at, err := b.s.SignIn(t.Context(), b.authorizeURL(), alice); err == nil {
		t.Errorf("she came to %s", at)
	}
	if !b.s.EnableUser(alice.Sub) {
		t.Fatal("alice is unknown")
	}
	b.refresh(got.Refresh).wantOAuth(t, http.StatusBadRequest, "invalid_grant")
	b.signedIn()
}

func TestRevocation(t *testing.T) {
	b := start(t)
	revoke := func(token string) reply { return b.post("/oauth2/revoke", url.Values{"token": {token}}) }
	got := b.signedIn()
	next := b.refresh(got.Refresh).tokens(t)
	revoke(next.Access).wantOAuth(t, http.StatusBadRequest, "unsupported_token_type")
	revoke(next.ID).wantOAuth(t, http.StatusBadRequest, "unsupported_token_type")
	revoke("").wantOAuth(t, http.StatusBadRequest, "invalid_request")
	foreign := url.Values{"token": {next.Refresh}, "client_id": {b.s.PublicClientID()}}
	b.do(b.http, b.request("/oauth2/revoke", foreign)).wantOAuth(t, http.StatusBadRequest, "invalid_request")
	if info := b.userInfo(next.Access); info.status != http.StatusOK {
		t.Fatalf("before the revocation userInfo says %d", info.status)
	}
	for _, token := range []string{got.Refresh, got.Refresh, next.Refresh, "unknown"} {
		if ans := revoke(token); ans.status != http.StatusOK || ans.body != "" {
			t.Errorf("got %d %q, want 200 and nothing", ans.status, ans.body)
		}
	}
	b.refresh(next.Refresh).wantOAuth(t, http.StatusBadRequest, "invalid_grant")
	if info := b.userInfo(next.Access); info.status != http.StatusUnauthorized {
		t.Errorf("after the revocation userInfo says %d", info.status)
	}
}

func (b *bench) userInfo(token string) reply {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, b.s.URL()+"/oauth2/userInfo", nil)
	if err != nil {
		b.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return b.do(b.http, req)
}

func TestUserInfoTakesLivingAccessTokensWithOpenID(t *testing.T) {
	b := start(t)
	got := b.signedIn()
	var info map[string]any
	b.userInfo(got.Access).json(t, &info)
	want(t, "userInfo, not a", info, map[string]any{
		"sub": b.s.Users()[0].Sub, "email": "alice@example.com", "email_verified": "true", "name": "Alice Liddell",
	})
	narrow := b.signedIn("scope", "aws.cognito.signin.user.admin")
	for what, token := range map[string]string{
		"nothing": "", "an ID token": got.ID, "rubbish": "a.b.c", "a token without openid": narrow.Access, "a refresh token": got.Refresh,
	} {
		if ans := b.userInfo(token); ans.status != http.StatusUnauthorized || ans.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: got %d", what, ans.status)
		}
	}
	b.clock.advance(time.Hour)
	if ans := b.userInfo(got.Access); ans.status != http.StatusUnauthorized {
		t.Errorf("an expired token got %d", ans.status)
	}
}
