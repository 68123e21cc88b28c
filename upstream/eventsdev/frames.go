package eventsdev

import (
	"bytes"
	"encoding/json"
	"strings"
)

// maxFrame bounds a frame from a client, in bytes: Amplify sends events and token twice, once more in a payload that
// nobody reads.
const maxFrame = 2*maxPublish + 64<<10

// frame is what a client sent.
type frame struct {
	kind    string // type
	id      string
	channel string
	events  json.RawMessage
	token   string // authorization.Authorization, as it was sent
}

// parseFrame reads one frame. Unknown members are ignored, the payload that Amplify repeats everything in among them. A
// frame that cannot be read may still have an id, which the caller should answer under.
func parseFrame(data []byte) (frame, *refusal) {
	members, ok := parseObject(data)
	if !ok {
		return frame{}, badRequest(ReasonFrame, "The frame is not a JSON object.")
	}
	f := frame{events: members["events"]}
	readable := true
	for name, into := range map[string]*string{"id": &f.id, "type": &f.kind, "channel": &f.channel} {
		readable = readString(members[name], into) && readable
	}
	if raw, sent := members["authorization"]; sent {
		c, ok := parseCredentials(raw)
		f.token = c.token
		readable = readable && ok
	}
	switch {
	case !readable:
		return f, badRequest(ReasonFrame, "A member of the frame has the wrong type.")
	case f.kind == "":
		return f, badRequest(ReasonFrame, "The frame has no type.")
	}
	return f, nil
}

// credentials is the JSON that stands in the handshake's subprotocol and in every operation.
type credentials struct {
	token string // Authorization
	host  string
}

// parseCredentials takes the names in any case, as they are names of headers, and ignores those of other modes of
// authorization, which this server does not have.
func parseCredentials(data []byte) (credentials, bool) {
	members, ok := parseObject(data)
	if !ok {
		return credentials{}, false
	}
	var c credentials
	for name, raw := range members {
		switch strings.ToLower(name) {
		case "authorization":
			ok = readString(raw, &c.token) && ok
		case "host":
			ok = readString(raw, &c.host) && ok
		}
	}
	return c, ok
}

// parseObject reads an object by exact names: encoding/json would fill a struct from names in any case, and pass what
// AppSync does not.
func parseObject(data []byte) (map[string]json.RawMessage, bool) {
	var members map[string]json.RawMessage // name → value
	err := json.Unmarshal(data, &members)
	return members, err == nil && members != nil
}

// readString leaves into alone if there is no such member, and refuses one that is not a string.
func readString(raw json.RawMessage, into *string) bool {
	if raw == nil {
		return true
	}
	return bytes.HasPrefix(raw, []byte{'"'}) && json.Unmarshal(raw, into) == nil
}

// reply is what the server sends, but for data frames.
type reply struct {
	Type      string      `json:"type"`
	ID        string      `json:"id,omitempty"`
	TimeoutMs int64       `json:"connectionTimeoutMs,omitempty"`
	Errors    []toldError `json:"errors,omitempty"`
	*outcome
}

// outcome is what became of a publish. Both lists are there even when empty.
type outcome struct {
	Failed     []publishedEvent `json:"failed"`
	Successful []publishedEvent `json:"successful"`
}

// publishedEvent names an event by the place it had in its publish.
type publishedEvent struct {
	Identifier string `json:"identifier"`
	Index      int    `json:"index"`
}

// encode cannot fail: nothing in a reply lacks a JSON form.
func (r reply) encode() []byte {
	data, _ := json.Marshal(r)
	return data
}

// dataFrame carries one event. AppSync's guide shows a list there, live servers send a string, and Amplify crashes on a
// list of two. The id is of a shape that needs no escaping; event is JSON already.
func dataFrame(id string, event []byte) []byte {
	out := make([]byte, 0, len(id)+len(event)+40)
	out = append(out, `{"type":"data","id":"`...)
	out = append(out, id...)
	out = append(out, `","event":`...)
	out = append(out, event...)
	return append(out, '}')
}
