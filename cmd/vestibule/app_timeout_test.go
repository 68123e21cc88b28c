package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"vestibule/idp/devidp"
	"vestibule/secret"
)

func TestServeWaitsForTheApplicationAsLongAsItIsTold(t *testing.T) {
	provider, err := devidp.Start(devidp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = provider.Close() })
	behind := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(behind.Close)
	public := freeAddress(t)
	p := start(t, "serve", "--listen="+public, "--admin_listen=", "--public_url=http://"+public, "--provider.issuer="+provider.Issuer(),
		"--provider.client_id="+provider.PublicClientID(), "--provider.client_auth=none", "--session.keys="+secret.GenerateKey(),
		"--app.url="+behind.URL, "--app.timeout=20ms")
	c := newBrowser(t)
	until(t, "the public listener answers", func() bool { status, _ := get(t, c, "http://"+public+"/readyz"); return status == http.StatusOK })
	if status, _ := get(t, c, "http://"+public+"/report"); status != http.StatusGatewayTimeout {
		t.Errorf("got %d, want 504", status)
	}
	c.Transport.(*http.Transport).CloseIdleConnections()
	stopped(t, p)
}
