package eventsdev

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
)

// AppSync's quotas. It writes them in kB and MB without saying which; these are the smaller, so that what passes here
// passes there.
const (
	maxEvents  = 5
	maxEvent   = 240_000   // bytes of one event
	maxPublish = 1_200_000 // bytes of the list of events as it was sent
)

// publishOverHTTP answers POST /event: {"channel","events"} with the token in authorization.
func (s *Server) publishOverHTTP(w http.ResponseWriter, r *http.Request) {
	if why := s.tokens.check(r.Context(), r.Header.Get("Authorization")); why != nil {
		s.refuse(w, why)
		return
	}
	done, why := s.publishBody(http.MaxBytesReader(w, r.Body, maxPublish+8<<10))
	if why != nil {
		s.refuse(w, why)
		return
	}
	writeJSON(w, http.StatusOK, done)
}

func (s *Server) publishBody(body io.Reader) (outcome, *refusal) {
	data, err := io.ReadAll(body)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return outcome{}, errTooLarge("The body is larger than 1.2 MB.")
	}
	members, ok := parseObject(data)
	var to string
	if err != nil || !ok || !readString(members["channel"], &to) {
		return outcome{}, badRequest(ReasonFrame, "The body is not a JSON object with a channel and events.")
	}
	return s.publish(to, members["events"])
}

// publish hands events to everybody who listens, all of them or none.
func (s *Server) publish(to string, raw json.RawMessage) (outcome, *refusal) {
	at, why := s.place(to)
	if why != nil {
		return outcome{}, why
	}
	if at.under {
		return outcome{}, badRequest(ReasonChannel, "A channel to publish to has no wildcard.")
	}
	events, why := parseEvents(raw)
	if why != nil {
		return outcome{}, why
	}
	s.hub.publish(at.path, events)
	done := outcome{Failed: []publishedEvent{}}
	for i := range events {
		done.Successful = append(done.Successful, publishedEvent{Identifier: newIdentifier(), Index: i})
	}
	return done, nil
}

// place is the channel, if it is one and its namespace exists.
func (s *Server) place(raw string) (channel, *refusal) {
	c, ok := parseChannel(raw)
	switch {
	case !ok:
		return channel{}, badRequest(ReasonChannel, "The channel is not 1 to 5 segments of 1 to 50 letters, digits and inner hyphens.")
	case !slices.Contains(s.cfg.Namespaces, c.namespace()):
		return channel{}, badRequest(ReasonNamespace, "The channel's namespace does not exist.")
	}
	return c, nil
}

// parseEvents gives each event as the JSON string that a data frame carries.
func parseEvents(raw json.RawMessage) ([][]byte, *refusal) {
	if len(raw) > maxPublish {
		return nil, errTooLarge("The events are larger than 1.2 MB.")
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil || len(list) < 1 || len(list) > maxEvents {
		return nil, badRequest(ReasonEvents, "The events are not a list of 1 to 5.")
	}
	events := make([][]byte, 0, len(list))
	for _, one := range list {
		var event string
		switch {
		case one == nil || !readString(one, &event) || !json.Valid([]byte(event)):
			return nil, badRequest(ReasonEvents, "An event is not a string that holds JSON.")
		case len(event) > maxEvent:
			return nil, errTooLarge("An event is larger than 240 kB.")
		}
		events = append(events, encodeString(event))
	}
	return events, nil
}

// encodeString writes a JSON string without the escapes that only HTML needs, which would swell events of markup.
func encodeString(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string has a JSON form, and a buffer takes everything
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'})
}

// newIdentifier is a random UUID (RFC 9562, version 4).
func newIdentifier() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
