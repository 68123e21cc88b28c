package oidcprovider

import (
	"cmp"
	"time"
)

// settings is what server.mjs reads; the names are its.
type settings struct {
	ClientID               string   `json:"clientId"`
	ClientSecret           string   `json:"clientSecret,omitempty"`
	ClientAuth             string   `json:"clientAuth"`
	RedirectURIs           []string `json:"redirectUris"`
	PostLogoutRedirectURIs []string `json:"postLogoutRedirectUris"`
	BackchannelLogoutURI   string   `json:"backchannelLogoutUri"`
	AccessSeconds          int      `json:"accessTokenSeconds"`
	IDSeconds              int      `json:"idTokenSeconds"`
	RefreshSeconds         int      `json:"refreshTokenSeconds"`
	Resource               string   `json:"resource"`
}

func (c Config) settings() settings {
	return settings{
		ClientID:               c.clientID(),
		ClientSecret:           c.clientSecret(),
		ClientAuth:             cmp.Or(c.ClientAuth, "client_secret_basic"),
		RedirectURIs:           append([]string{}, c.RedirectURIs...), // [] rather than null
		PostLogoutRedirectURIs: append([]string{}, c.PostLogoutRedirectURIs...),
		BackchannelLogoutURI:   c.BackchannelLogoutURI,
		AccessSeconds:          seconds(c.AccessLife, 5*time.Minute),
		IDSeconds:              seconds(c.IDLife, 5*time.Minute),
		RefreshSeconds:         seconds(c.RefreshLife, 24*time.Hour),
		Resource:               c.Resource,
	}
}

func (c Config) clientID() string     { return cmp.Or(c.ClientID, "e2e") }
func (c Config) clientSecret() string { return cmp.Or(c.ClientSecret, "e2e-secret") }

// seconds rounds up: no life becomes none.
func seconds(life, otherwise time.Duration) int {
	return int((cmp.Or(life, otherwise) + time.Second - 1) / time.Second)
}
