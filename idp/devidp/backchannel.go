package devidp

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/a-h/templ"

	"vestibule/loopback"
)

const (
	// logoutTokenLife is what OpenID Connect Back-Channel Logout 1.0, section 2.4, recommends.
	logoutTokenLife = 2 * time.Minute
	// sendingTime bounds one call of the client; real providers have little patience either.
	sendingTime = 5 * time.Second
	maxReply    = 4 << 10
)

// LogoutURIs are where the client hears that a sign-in has ended. Both are on this machine; an empty one is not used.
type LogoutURIs struct {
	// Back is sent a logout token (OpenID Connect Back-Channel Logout 1.0): when a browser signs out, with its sub and sid; when a
	// user is revoked or disabled, with the sub alone.
	Back string
	// Front is framed by the page that a sign-out then shows (OpenID Connect Front-Channel Logout 1.0).
	Front string
}

// logoutURIs guards a LogoutURIs.
type logoutURIs struct {
	mu   sync.Mutex
	uris LogoutURIs
}

func (l *logoutURIs) get() LogoutURIs {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.uris
}

// SetLogoutURIs registers them. Errors: [ErrConfig] for one that is not http or https on a loopback host.
func (s *Server) SetLogoutURIs(uris LogoutURIs) error {
	for _, raw := range []string{uris.Back, uris.Front} {
		if raw == "" {
			continue
		}
		u, err := url.Parse(raw)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil || u.Fragment != "" || !loopback.IsHost(u.Host) {
			return fmt.Errorf("%w: logout URI %q is not http or https on this machine", ErrConfig, raw)
		}
	}
	l := &s.clients.ends
	l.mu.Lock()
	defer l.mu.Unlock()
	l.uris = uris
	return nil
}

// Logout is a logout token to make. The zero value, with a Subject or a SessionID, is an honest one.
type Logout struct {
	// Subject and SessionID are sub and sid; an empty one is left out.
	Subject, SessionID string
	// ID is jti. Default: a new one.
	ID string
	// Type is typ in the header. Default: logout+jwt.
	Type string
	// Claims replace others, or are added; one that is nil is left out.
	Claims map[string]any
	// Lies bends the token further: WrongIssuer, WrongAudience, WrongNonce, Expired, NotYetValid, Alg, WrongKey, UnknownKid.
	Lies Lies
}

// LogoutToken signs a logout token for the confidential client, with the key of ID tokens. Errors: ctx's while keys are being made.
func (s *Server) LogoutToken(ctx context.Context, l Logout) (string, error) {
	pair, err := s.keys.current(ctx)
	if err != nil {
		return "", err
	}
	now := s.cfg.Now()
	c := claims{
		"iss": s.Issuer(), "aud": s.ClientID(), "iat": now.Unix(), "exp": now.Add(logoutTokenLife).Unix(),
		"jti": orString(l.ID, randomUUID()), "sub": l.Subject, "sid": l.SessionID,
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == "" })
	l.Lies.bend(c, now)
	maps.Copy(c, l.Claims)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return s.signTyped(orString(l.Type, "logout+jwt"), c, pair.id, l.Lies)
}

// SendLogoutToken posts a token to the registered [LogoutURIs.Back], as a provider does, and gives the answer. Errors: [ErrConfig]
// when none is registered, or what the network says.
func (s *Server) SendLogoutToken(ctx context.Context, token string) (status int, body string, err error) {
	to := s.clients.ends.get().Back
	if to == "" {
		return 0, "", fmt.Errorf("%w: no back-channel logout URI is registered", ErrConfig)
	}
	ctx, cancel := context.WithTimeout(ctx, sendingTime)
	defer cancel()
	form := url.Values{"logout_token": {token}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form))
	if err != nil {
		return 0, "", fmt.Errorf("send a logout token: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	s.stats.add(func(t *Stats) { t.Backchannel.Asked++ })
	// A transport of its own, so that no idle connection outlives the call.
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport, CheckRedirect: stay}).Do(req)
	if err != nil {
		return 0, "", fmt.Errorf("send a logout token: %w", err)
	}
	defer res.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(res.Body, maxReply))
	if err != nil {
		return 0, "", fmt.Errorf("read the answer to a logout token: %w", err)
	}
	s.stats.add(func(t *Stats) {
		if res.StatusCode == http.StatusOK {
			t.Backchannel.OK++
		} else {
			t.Backchannel.Refused++
		}
	})
	return res.StatusCode, string(reply), nil
}

func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// tellClient sends an honest logout token where one is wanted. What comes of it is counted and logged; the sign-out goes on.
func (s *Server) tellClient(ctx context.Context, sub, sid string) {
	if s.clients.ends.get().Back == "" {
		return
	}
	if !s.cfg.SendSid {
		sid = ""
	}
	token, err := s.LogoutToken(ctx, Logout{Subject: sub, SessionID: sid})
	status := 0
	if err == nil {
		status, _, err = s.SendLogoutToken(ctx, token)
	}
	s.cfg.Logger.Info("logout token sent", "sub", sub, "status", status, "error", err)
}

// frontchannel is the address to frame; "" where there is nothing to tell.
func (s *Server) frontchannel(ended browser) string {
	front := s.clients.ends.get().Front
	if front == "" || ended.sid == "" || !s.cfg.SendSid {
		return ""
	}
	separator := "?"
	if strings.Contains(front, "?") {
		separator = "&"
	}
	return front + separator + url.Values{"iss": {s.Issuer()}, "sid": {ended.sid}}.Encode()
}

// showFrame is the page of a front-channel logout.
func (s *Server) showFrame(w http.ResponseWriter, r *http.Request, frame, on string) {
	templ.Handler(framing(frame, on)).ServeHTTP(w, r)
}
