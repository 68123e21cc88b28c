package idp

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
)

// withDefaults is the configuration with its defaults, sharing no map or slice with the caller's.
func (c Config) withDefaults() Config {
	c.Scopes, c.Claims = slices.Clone(c.Scopes), slices.Clone(c.Claims)
	if at := slices.Index(c.Claims, "email"); at >= 0 && !slices.Contains(c.Claims, "email_verified") {
		c.Claims = slices.Insert(c.Claims, at, "email_verified") // an address is worth what is said of it
	}
	c.AuthorizeParams = maps.Clone(c.AuthorizeParams)
	if c.ClientAuth == "" && c.ClientSecret == nil {
		c.ClientAuth = authNone
	}
	c.ClientAuth = orElse(c.ClientAuth, authBasic)
	c.Logout = orElse(c.Logout, logoutAuto)
	if c.Scopes == nil {
		c.Scopes = []string{"openid", "email", "profile"}
	}
	if c.Transport == nil {
		c.Transport = newTransport()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Observe == nil {
		c.Observe = func(Call) {}
	}
	return c
}

func orElse(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}

func (c Config) validate() error {
	for _, check := range []func() error{c.validateClient, c.validateURLs, c.validateAuthorize} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c Config) validateClient() error {
	switch {
	case c.ClientID == "":
		return errors.New("no ClientID")
	case c.ClientAuth != authBasic && c.ClientAuth != authPost && c.ClientAuth != authNone:
		return fmt.Errorf("unknown ClientAuth %q: want %s, %s or %s", c.ClientAuth, authBasic, authPost, authNone)
	case c.ClientAuth != authNone && c.ClientSecret == nil:
		return fmt.Errorf("no ClientSecret: ClientAuth %s needs it (a public client says %s)", c.ClientAuth, authNone)
	case !slices.Contains([]string{logoutAuto, logoutCognito, logoutOIDC, logoutNone}, c.Logout):
		return fmt.Errorf("unknown Logout %q: want auto, cognito, oidc or none", c.Logout)
	}
	return nil
}

func (c Config) validateURLs() error {
	type field struct {
		name, value string
		required    bool
	}
	for _, f := range []field{
		{"Issuer", c.Issuer, true},
		{"RedirectURL", c.RedirectURL, true},
		{"LogoutRedirectURL", c.LogoutRedirectURL, c.Logout != logoutNone},
		{"Endpoints.Authorization", c.Endpoints.Authorization, false},
		{"Endpoints.Token", c.Endpoints.Token, false},
		{"Endpoints.JWKS", c.Endpoints.JWKS, false},
		{"Endpoints.Revocation", c.Endpoints.Revocation, false},
		{"Endpoints.EndSession", c.Endpoints.EndSession, false},
	} {
		if f.value == "" && !f.required {
			continue
		}
		if f.value == "" {
			return fmt.Errorf("no %s", f.name)
		}
		if _, err := safeURL(f.name, f.value); err != nil {
			return err
		}
	}
	// OpenID Connect Discovery 1.0 section 3: an issuer has no query component.
	if strings.Contains(c.Issuer, "?") {
		return errors.New("the Issuer has a query: an issuer is a plain URL")
	}
	return nil
}

func (c Config) validateAuthorize() error {
	if !slices.Contains(c.Scopes, "openid") {
		return errors.New("no openid in Scopes: without it the provider sends no ID token")
	}
	for name := range c.AuthorizeParams {
		if reason := reserved(name); reason != "" {
			return fmt.Errorf("%q may not be in AuthorizeParams: %s", name, reason)
		}
	}
	if raw, asked := c.AuthorizeParams["max_age"]; asked {
		if _, ok := maxAge(raw); !ok {
			return errors.New("max_age in AuthorizeParams is not a number of seconds from 0 to 4294967295")
		}
	}
	return nil
}
