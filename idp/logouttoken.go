package idp

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// OperationLogout names VerifyLogoutToken in an Error. It makes no request of its own.
const OperationLogout = "logout"

const (
	// MaxLogoutToken bounds a logout token, in bytes. Real ones are below one kilobyte.
	MaxLogoutToken = 8 << 10
	// maxTokenID bounds jti; real ones are a UUID or a hash.
	maxTokenID = 512
	// logoutAge is how old a logout token may be. A provider sends one at the moment of the logout, good for two minutes (OpenID
	// Connect Back-Channel Logout 1.0 section 2.4); the rest is for its retries and for clocks that differ. It also bounds for
	// how long a jti has to be remembered.
	logoutAge = 5 * time.Minute
	// logoutTimeout bounds how long a logout token is held for the keys that it needs: until the provider may be asked for
	// them again, and for the answer.
	logoutTimeout = keysFloor + verifyTimeout
	// logoutEvent is the member of events that makes a token a logout token.
	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"
)

// LogoutToken is what a verified logout token says.
type LogoutToken struct {
	// Subject is its sub, SessionID its sid; one of them may be "". Each is at most 255 bytes.
	Subject, SessionID string
	// ID is its jti, at most 512 bytes: the token must not take effect twice.
	ID string
	// Issued is its iat. Expires is when it stops being accepted: by its exp, at the latest five minutes after iat.
	Issued, Expires time.Time
}

// VerifyLogoutToken checks what somebody who claims to be the provider sent to our back-channel logout (OpenID Connect
// Back-Channel Logout 1.0 section 2.6): signature, algorithm, typ, iss, aud, iat, exp, events, and that it is no ID token. That a
// jti comes once is the caller's to see. What can be refused without a signature is refused before one is looked at.
//
// The error is ErrUntrusted for a token that is not good. It is ErrUnavailable while the provider's keys cannot be had: the token may
// be good, and nobody can say. A token with a key that is not known is held for 14 seconds at most, because somebody's forgery may
// have used up what the provider may be asked; sixteen are held at one time, and what comes beside them is ErrUnavailable at once.
func (p *Provider) VerifyLogoutToken(ctx context.Context, raw string) (LogoutToken, error) {
	token, alg, err := p.readLogoutToken(raw)
	if err != nil {
		return LogoutToken{}, &Error{Kind: ErrUntrusted, Operation: OperationLogout, detail: printable(err.Error())}
	}
	m, err := p.metadata(ctx, OperationLogout)
	if err != nil {
		return LogoutToken{}, err
	}
	if !slices.Contains(m.algorithms, alg) {
		return LogoutToken{}, &Error{Kind: ErrUntrusted, Operation: OperationLogout,
			detail: "logout token: it is signed with an algorithm that the provider does not advertise"}
	}
	ctx, cancel := context.WithTimeout(ctx, logoutTimeout)
	defer cancel()
	switch err := p.keys.verifyStranger(ctx, raw); {
	case err == nil:
		return token, nil
	case ctx.Err() != nil || errors.Is(err, errKeysPending):
		return LogoutToken{}, &Error{Kind: ErrUnavailable, Operation: OperationLogout, detail: "logout token: " + errKeysPending.Error(), cause: ctx.Err()}
	default:
		return LogoutToken{}, &Error{Kind: ErrUntrusted, Operation: OperationLogout, detail: "logout token: " + printable(err.Error())}
	}
}

// readLogoutToken checks all that does not need a key, and gives the algorithm.
func (p *Provider) readLogoutToken(raw string) (LogoutToken, string, error) {
	if len(raw) > MaxLogoutToken {
		return LogoutToken{}, "", errors.New("logout token: it is too long")
	}
	var algs []jose.SignatureAlgorithm
	for _, a := range asymmetric() {
		algs = append(algs, jose.SignatureAlgorithm(a))
	}
	jws, err := jose.ParseSignedCompact(raw, algs)
	if err != nil || len(jws.Signatures) != 1 {
		return LogoutToken{}, "", errors.New("logout token: it is no JWT with an asymmetric signature")
	}
	header := jws.Signatures[0].Protected
	if !logoutType(header.ExtraHeaders[jose.HeaderType]) {
		return LogoutToken{}, "", errors.New("logout token: its typ says that it is another kind of token")
	}
	token, err := p.readLogoutClaims(jws.UnsafePayloadWithoutVerification())
	if err != nil {
		return LogoutToken{}, "", errors.New("logout token: " + err.Error())
	}
	return token, header.Algorithm, nil
}

// logoutType accepts no typ, which older providers leave out, logout+jwt, and JWT. RFC 7515 section 4.1.9: letter case does not
// count, and application/ may be left out.
func logoutType(typ any) bool {
	if typ == nil {
		return true
	}
	name, ok := typ.(string)
	name = strings.TrimPrefix(strings.ToLower(name), "application/")
	return ok && (name == "logout+jwt" || name == "jwt")
}

// readLogoutClaims is OpenID Connect Back-Channel Logout 1.0 section 2.6, steps 4 to 7. An ID token is stopped by the missing events,
// by its nonce, and, when it is Cognito's, by its token_use.
func (p *Provider) readLogoutClaims(payload []byte) (LogoutToken, error) {
	var c claims
	if json.Unmarshal(payload, &c) != nil || c == nil {
		return LogoutToken{}, errors.New("its claims are not a JSON object")
	}
	switch {
	case c.text("iss") != p.cfg.Issuer:
		return LogoutToken{}, errors.New("iss is not the provider")
	case !c.audience(p.cfg.ClientID):
		return LogoutToken{}, errors.New("aud does not name us")
	case !c.logsOut():
		return LogoutToken{}, errors.New("events does not say it is a logout token")
	case c["nonce"] != nil:
		return LogoutToken{}, errors.New("it has a nonce")
	case c["token_use"] != nil:
		return LogoutToken{}, errors.New("token_use says it is another kind of token")
	}
	t, err := c.whose()
	if err != nil {
		return LogoutToken{}, err
	}
	t.Issued, t.Expires, err = c.logoutWindow(p.cfg.Now())
	return t, err
}

// audience says whether aud, one name or a list of them, holds the client.
func (c claims) audience(client string) bool {
	var several []string
	if json.Unmarshal(c["aud"], &several) == nil {
		return slices.Contains(several, client)
	}
	return c.text("aud") == client
}

// logsOut says whether events holds the logout event with an object as its value.
func (c claims) logsOut() bool {
	var events, value claims
	return json.Unmarshal(c["events"], &events) == nil &&
		json.Unmarshal(events[logoutEvent], &value) == nil && value != nil
}

// whose reads sub, sid and jti. One that is there must be a text of a sensible length: the sessions of another person
// must not end because a claim was passed over.
func (c claims) whose() (LogoutToken, error) {
	t := LogoutToken{Subject: c.text("sub"), SessionID: c.text("sid"), ID: c.text("jti")}
	switch {
	case c["sub"] != nil && (t.Subject == "" || len(t.Subject) > maxSubject):
		return LogoutToken{}, errors.New("sub is no text, or too long")
	case c["sid"] != nil && (t.SessionID == "" || len(t.SessionID) > maxSessionID):
		return LogoutToken{}, errors.New("sid is no text, or too long")
	case t.Subject == "" && t.SessionID == "":
		return LogoutToken{}, errors.New("it has neither sub nor sid")
	case t.ID == "" || len(t.ID) > maxTokenID:
		return LogoutToken{}, errors.New("jti is missing or too long")
	}
	return t, nil
}

// logoutWindow is when the token was issued and until when it is accepted. Both iat and exp are required (OpenID Connect Back-Channel
// Logout 1.0 section 2.4), and the earlier end counts.
func (c claims) logoutWindow(now time.Time) (issued, until time.Time, err error) {
	issued, ok := c.moment("iat")
	if !ok {
		return issued, until, errors.New("iat is missing, or no time")
	}
	until = issued.Add(logoutAge)
	expires, ok := c.moment("exp")
	if !ok {
		return issued, until, errors.New("exp is missing, or no time")
	}
	if expires = expires.Add(expirySkew); expires.Before(until) {
		until = expires
	}
	notBefore, bounded := c.moment("nbf")
	switch {
	case issued.After(now.Add(futureSkew)):
		err = errors.New("it was issued in the future")
	case c["nbf"] != nil && (!bounded || notBefore.After(now.Add(futureSkew))):
		err = errors.New("it is not valid yet")
	case !now.Before(until):
		err = errors.New("it is too old")
	}
	return issued, until, err
}
