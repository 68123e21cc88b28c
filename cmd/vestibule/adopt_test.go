package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"vestibule/idp/devidp"
	"vestibule/secret"
)

// What the settings say reaches the cookies: a set that cannot be adopted is deleted, for the client and the domain that were named.
func TestServeLooksForTheAdaptersSessionsIfItIsTold(t *testing.T) {
	provider, err := devidp.Start(devidp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = provider.Close() })
	cookie := "CognitoIdentityServiceProvider." + provider.PublicClientID() + "."
	gone := "=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; HttpOnly"
	ofDomain := "=; Path=/; Domain=localhost; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; HttpOnly"
	for _, row := range []struct {
		told string
		want []string
	}{
		{"--session.adopt_amplify=false", nil},
		{"--session.adopt_amplify", []string{cookie + "ann.accessToken" + gone, cookie + "ann.accessToken" + ofDomain,
			cookie + "LastAuthUser" + gone, cookie + "LastAuthUser" + ofDomain}},
	} {
		public := freeAddress(t)
		p := start(t, "serve", "--listen="+public, "--admin_listen=", "--public_url=http://"+strings.Replace(public, "127.0.0.1", "localhost", 1),
			"--provider.issuer="+provider.Issuer(), "--provider.client_id="+provider.PublicClientID(), "--provider.client_auth=none",
			"--session.keys="+secret.GenerateKey(), "--session.amplify_domain=localhost", row.told)
		c := newBrowser(t)
		until(t, "the public listener answers", func() bool { status, _ := get(t, c, "http://"+public+"/readyz"); return status == http.StatusOK })
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+public+"/api/cognito-token", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Cookie", cookie+"ann.accessToken=a.b.c; "+cookie+"LastAuthUser=ann")
		res, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if got := res.Header["Set-Cookie"]; res.StatusCode != http.StatusUnauthorized || !slices.Equal(got, row.want) {
			t.Errorf("%s: got %d and %q, want 401 and %q", row.told, res.StatusCode, got, row.want)
		}
		c.Transport.(*http.Transport).CloseIdleConnections()
		stopped(t, p)
	}
}
