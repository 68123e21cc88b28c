package handlers_test

import (
	"net/http"
	"testing"
	"time"

	"vestibule/idp/devidp"
)

// lies are ID tokens that must not be believed, at the sign-in or at a refresh.
func lies() map[string]devidp.Lies {
	return map[string]devidp.Lies{
		"another issuer":                           {WrongIssuer: true},
		"for somebody else":                        {WrongAudience: true},
		"another nonce":                            {WrongNonce: true},
		"by way of somebody else":                  {WrongAzp: true},
		"another access token's hash":              {WrongAtHash: true},
		"an access token in disguise":              {WrongTokenUse: true},
		"no signature":                             {Alg: devidp.AlgNone},
		"signed with the client secret":            {Alg: devidp.AlgHS256},
		"signed with the public key as secret":     {Alg: devidp.AlgHS256PublicKey},
		"a key that was never published":           {WrongKey: true},
		"a name of a key that was never published": {UnknownKid: true},
		"long expired":                             {Expired: true},
		"of tomorrow":                              {NotYetValid: true},
	}
}

func TestALieAtTheSignInStartsNoSession(t *testing.T) {
	t.Parallel()
	for name, lie := range lies() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, nil)
			b := s.browser(t)
			s.faults(t, devidp.Faults{Lies: lie})
			refusedCallback(t, b, b.get(b.atProvider(b.begin("/api/auth/sign-in"))), http.StatusBadRequest)
			if s.provider.Stats().Lies != 1 {
				t.Fatal("the provider did not lie: this proves nothing")
			}
			b.get(tokenPath).wants(t, http.StatusUnauthorized, unauthorized)
			s.faults(t, devidp.Faults{})
			b.signIn()
		})
	}
	t.Run("no ID token at all", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, nil)
		b := s.browser(t)
		s.faults(t, devidp.Faults{Lies: devidp.Lies{NoIDToken: true}})
		refusedCallback(t, b, b.get(b.atProvider(b.begin("/api/auth/sign-in"))), http.StatusBadGateway)
	})
}

func TestALieAtARefreshEndsTheSession(t *testing.T) {
	t.Parallel()
	all := lies()
	all["another subject"] = devidp.Lies{WrongSubject: true}
	for name, lie := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, nil)
			b := s.browser(t)
			b.signIn()
			old := b.cookies()
			s.clock.advance(2 * time.Hour)
			s.faults(t, devidp.Faults{Lies: lie})
			a := b.get(tokenPath)
			if s.provider.Stats().Lies != 1 {
				t.Fatal("the provider did not lie: this proves nothing")
			}
			a.wants(t, http.StatusUnauthorized, unauthorized)
			if !a.cleared(s.cookie) {
				t.Error("the session's cookie was not cleared")
			}
			s.faults(t, devidp.Faults{})
			s.clock.advance(time.Hour)
			s.stranger(t).get(tokenPath, old).wants(t, http.StatusUnauthorized, unauthorized)
		})
	}
}

// OpenID Connect Core 1.0, section 12.2: a refresh may come without an ID token.
func TestARefreshWithoutAnIDTokenIsFine(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	before := b.get("/api/auth/session").body
	s.clock.advance(2 * time.Hour)
	s.faults(t, devidp.Faults{Lies: devidp.Lies{NoIDToken: true}})
	b.token("")
	if got := b.get("/api/auth/session").body; got != before {
		t.Errorf("got %s, want the claims kept: %s", got, before)
	}
}

func TestTheProvidersKeysMayRollAtAnyMoment(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	s.provider.RollKeys()
	s.provider.ForgetOldKeys()
	s.clock.advance(2 * time.Hour)
	b.token("")
	s.browser(t).signIn()
}
