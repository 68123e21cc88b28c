package eventsdev

import (
	"context"
	"encoding/base64"
	"net"
	"net/http"
	"strings"

	"github.com/coder/websocket"

	"vestibule/loopback"
)

const (
	eventProtocol = "aws-appsync-event-ws"
	headerPrefix  = "header-"
)

// realtime opens a socket. Credentials that are refused still get one: a browser cannot read the answer to a failed
// upgrade, and Amplify would repeat it six times. They are told after connection_init, before which Amplify does not listen.
func (s *Server) realtime(w http.ResponseWriter, r *http.Request) {
	offers := subprotocols(r.Header)
	if !offers.events {
		s.refuse(w, badRequest(ReasonHandshake, "The subprotocol "+eventProtocol+" was not offered."))
		return
	}
	c := s.newConnection(s.admit(r.Context(), offers))
	if !s.sockets.add(c) {
		s.refuse(w, errLimit(ReasonConnections, "LimitExceededError", "Too many connections are open."))
		return
	}
	defer s.sockets.remove(c)
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       []string{eventProtocol},
		InsecureSkipVerify: true, // AppSync answers every origin: the token is in a header, not in a cookie
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		s.cfg.Logger.Info("not an upgrade") // the library has answered
		return
	}
	ws.SetReadLimit(maxFrame)
	c.run(ws)
}

// offered is what the subprotocols of a handshake say.
type offered struct {
	events  bool     // the event protocol is among them
	headers []string // what stands behind header-
}

// subprotocols reads every line of the header, in any order.
func subprotocols(h http.Header) offered {
	var o offered
	for _, line := range h.Values("Sec-WebSocket-Protocol") {
		for name := range strings.SplitSeq(line, ",") {
			name = strings.TrimSpace(name)
			if name == eventProtocol {
				o.events = true
			}
			if encoded, is := strings.CutPrefix(name, headerPrefix); is {
				o.headers = append(o.headers, encoded)
			}
		}
	}
	return o
}

// admit judges the handshake; nil admits it.
func (s *Server) admit(ctx context.Context, o offered) *refusal {
	if len(o.headers) == 0 {
		return s.tokens.check(ctx, "")
	}
	c, ok := decodeHeader(o.headers[0])
	switch {
	case !ok || len(o.headers) > 1:
		return badRequest(ReasonHandshake, "The header subprotocol is not one JSON object in base64url.")
	case !s.isOwnHost(c.host):
		return badRequest(ReasonHost, "The host in the header is not this API's.")
	}
	return s.tokens.check(ctx, c.token)
}

// decodeHeader takes base64url with and without padding. Its size is bounded by the server's limit on headers.
func decodeHeader(encoded string) (credentials, bool) {
	data, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(encoded, "="))
	if err != nil {
		return credentials{}, false
	}
	return parseCredentials(data)
}

// isOwnHost takes every loopback name with our port: pages reach us as localhost and as 127.0.0.1.
func (s *Server) isOwnHost(host string) bool {
	if strings.EqualFold(host, s.own) {
		return true
	}
	_, port, err := net.SplitHostPort(host)
	_, ownPort, _ := net.SplitHostPort(s.own)
	return err == nil && port == ownPort && loopback.IsHost(host)
}
