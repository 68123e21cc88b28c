package devidp

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// ErrSignIn is wrapped by every failure of [Server.SignIn].
var ErrSignIn = errors.New("devidp: the sign-in did not come back to the client")

// csrfField finds the hidden field in our own form.
var csrfField = regexp.MustCompile(`name="_csrf" value="([^"]*)"`)

// SignIn does what a person does, over HTTP and with a fresh cookie jar: opens the authorization URL, fills the
// form in, sends it. It returns the address to which the provider then sends the browser, which may carry an
// error, without opening it. A wrong password, or a page that leads nowhere, is [ErrSignIn].
func (s *Server) SignIn(ctx context.Context, authorizeURL string, user User) (callbackURL string, err error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrSignIn, err)
	}
	// A transport of its own, so that no idle connection outlives the call.
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	visit := visit{server: s, client: &http.Client{
		Jar: jar, Transport: transport, Timeout: 30 * time.Second,
		CheckRedirect: func(r *http.Request, _ []*http.Request) error {
			if !s.owns(r.URL) {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}}
	callbackURL, err = visit.signIn(ctx, authorizeURL, user)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrSignIn, err)
	}
	return callbackURL, nil
}

func (s *Server) owns(u *url.URL) bool { return u.Scheme+"://"+u.Host == s.base }

// visit is one browser's way through the provider.
type visit struct {
	server *Server
	client *http.Client
}

func (v visit) signIn(ctx context.Context, authorizeURL string, user User) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, authorizeURL, nil)
	if err != nil {
		return "", err
	}
	if !v.server.owns(req.URL) {
		return "", errors.New("the authorization URL is not this provider's")
	}
	at, body, err := v.open(req)
	if err != nil || !v.server.owns(at) {
		return locationOf(at), err
	}
	field := csrfField.FindStringSubmatch(body)
	if field == nil {
		return "", fmt.Errorf("no form at %s", at.Path)
	}
	return v.submit(ctx, at, url.Values{
		"_csrf": {html.UnescapeString(field[1])}, "username": {user.Email}, "password": {user.Password},
	})
}

func (v visit) submit(ctx context.Context, form *url.URL, fields url.Values) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, form.String(), strings.NewReader(fields.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	at, _, err := v.open(req)
	if err != nil {
		return "", err
	}
	if v.server.owns(at) {
		return "", fmt.Errorf("still at %s: wrong password, or the request was refused", at.Path)
	}
	return at.String(), nil
}

// open follows redirects within the provider and tells where they end: at a page of the provider, or at the
// client, which is not visited.
func (v visit) open(req *http.Request) (at *url.URL, body string, err error) {
	res, err := v.client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	if location, err := res.Location(); err == nil {
		return location, "", nil
	}
	page, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return nil, "", err
	}
	return res.Request.URL, string(page), nil
}

func locationOf(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.String()
}
