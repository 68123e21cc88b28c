package oidcprovider

import (
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// maxSteps bounds the way through the provider; a first sign-in takes seven requests.
const maxSteps = 20

// Browser is one browser's cookies at the provider, and the hands that fill in its forms. It visits nothing but the provider.
type Browser struct {
	issuer string
	client *http.Client
}

// Browser makes a browser that has never been at the provider.
func (p *Provider) Browser(t testing.TB) *Browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Browser{issuer: p.Issuer, client: &http.Client{
		Jar: jar, Timeout: callLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// SignIn opens the authorize URL in a new browser, signs in as account (any name or e-mail address) and consents. It returns where
// the provider then sends the browser: the client's callback, which is not visited.
func (p *Provider) SignIn(t testing.TB, authorizeURL, account string) (callbackURL string) {
	t.Helper()
	return p.Browser(t).SignIn(t, authorizeURL, account)
}

// SignIn is [Provider.SignIn] in this browser. One that is signed in already is asked for nothing but consent; account does not
// count then.
func (b *Browser) SignIn(t testing.TB, authorizeURL, account string) (callbackURL string) {
	t.Helper()
	return b.walk(t, authorizeURL, func(at *url.URL, page string) (*http.Request, error) {
		if strings.Contains(page, `name="prompt" value="consent"`) {
			return submit(at, url.Values{"prompt": {"consent"}})
		}
		return submit(at, url.Values{"prompt": {"login"}, "login": {account}, "password": {"any"}})
	})
}

// Cancel opens the authorize URL and turns back at the first form. The callback URL carries error=access_denied.
func (b *Browser) Cancel(t testing.TB, authorizeURL string) (callbackURL string) {
	t.Helper()
	return b.walk(t, authorizeURL, func(at *url.URL, _ string) (*http.Request, error) {
		return http.NewRequest(http.MethodGet, at.JoinPath("abort").String(), nil)
	})
}

var xsrfField = regexp.MustCompile(`name="xsrf" value="([^"]*)"`)

// SignOut opens the provider's end-session URL and confirms. It returns where the browser is then sent: the client's
// post-logout address, or the provider's own page where none was asked for.
func (b *Browser) SignOut(t testing.TB, endSessionURL string) (postLogoutURL string) {
	t.Helper()
	return b.walk(t, endSessionURL, func(at *url.URL, page string) (*http.Request, error) {
		field := xsrfField.FindStringSubmatch(page)
		if field == nil {
			return nil, errors.New("no logout form")
		}
		return submit(at.JoinPath("confirm"), url.Values{"xsrf": {html.UnescapeString(field[1])}, "logout": {"yes"}})
	})
}

// walk follows redirects within the provider and has each form filled in, until it is sent elsewhere.
func (b *Browser) walk(t testing.TB, from string, fill func(at *url.URL, page string) (*http.Request, error)) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, from, nil)
	for range maxSteps {
		if err != nil {
			t.Fatalf("at the certified provider: %v", err)
		}
		at := req.URL
		if at.Scheme+"://"+at.Host != b.issuer || at.Path == "/session/end/success" {
			return at.String()
		}
		req, err = b.step(req, fill)
	}
	t.Fatalf("at the certified provider: no end after %d steps", maxSteps)
	return ""
}

// step makes one request and says which comes next.
func (b *Browser) step(req *http.Request, fill func(at *url.URL, page string) (*http.Request, error)) (*http.Request, error) {
	res, err := b.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if to, err := res.Location(); err == nil {
		return http.NewRequest(http.MethodGet, to.String(), nil)
	}
	page, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", req.URL.Path, err)
	}
	if err := statusError(res, http.StatusOK); err != nil {
		return nil, fmt.Errorf("%w: %s", err, plainText(page))
	}
	next, err := fill(req.URL, string(page))
	if err != nil {
		return nil, fmt.Errorf("at %s: %w", req.URL.Path, err)
	}
	return next, nil
}

func submit(to *url.URL, fields url.Values) (*http.Request, error) {
	bare := url.URL{Scheme: to.Scheme, Host: to.Host, Path: to.Path}
	req, err := http.NewRequest(http.MethodPost, bare.String(), strings.NewReader(fields.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req, nil
}

var markup = regexp.MustCompile(`(?s)<style.*?</style>|<[^>]*>|\s+`)

// plainText is an error page without its markup, for a test's message.
func plainText(page []byte) string {
	text := strings.Join(strings.Fields(markup.ReplaceAllString(string(page), " ")), " ")
	return text[:min(len(text), 300)]
}
