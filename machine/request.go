package machine

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// maxParams bounds how many parameters a form may have.
const maxParams = 100

const grantMachine = "client_credentials"

// credential is who asks, as the caller proved it.
type credential struct {
	kind       byte   // 'b' Basic, 'p' in the form, 'c' either, 'n' a named client of ours, 'o' ours at the provider; 0: none that a cache could rely on
	id, secret string // of Basic as they stood there, before anything is unescaped
}

// ask is a request understood.
type ask struct {
	request    Request
	credential credential
	named      *named // who asks, if it is one of ours
	pass       bool   // to be passed on untouched
	unread     bool   // no form that all parsers read alike
	grant      string
	scopes     []string   // sorted, each once
	params     url.Values // all others, without what authenticates
	namesSelf  bool       // client_id stood in the form beside Basic
}

// read understands a request. ErrRequest says in its text what is wrong, without quoting anything.
func read(r Request) (ask, error) {
	a := ask{request: r}
	text := string(r.Body)
	var err error
	if a.grant, err = grantOf(r.Query, text); err != nil {
		return a, err
	}
	if len(valuesOf(r.Query, "client_secret"))+len(valuesOf(r.Query, "client_assertion")) > 0 {
		// RFC 6749, section 2.3.1: addresses stand in logs.
		return a, fmt.Errorf("%w: a secret in the URL", ErrRequest)
	}
	if a.grant != grantMachine {
		a.leave(text)
		return a, nil
	}
	if tooMuch(r.Query) || tooMuch(text) {
		return a, fmt.Errorf("%w: too much of it", ErrRequest)
	}
	query, inQuery := parseForm(r.Query)
	body, inBody := parseForm(text)
	if inQuery != nil || inBody != nil {
		// A raw ";" or "%" stands for itself where forms are read as browsers write them (WHATWG URL, section 5.1), and is an error
		// elsewhere: what it means to the provider can be no key to a token.
		a.unread = true
		a.leave(text)
		return a, nil
	}
	if a.params, err = merge(query, body); err != nil {
		return a, err
	}
	if len(a.params["grant_type"]) != 1 {
		return a, fmt.Errorf("%w: not one grant_type", ErrRequest)
	}
	if err := a.authenticate(); err != nil {
		return a, err
	}
	// A client_assertion is new with every call, and DPoP binds the token to a key: neither can be answered from a cache.
	a.pass = a.credential.kind == 0 || a.params.Has("client_assertion") || r.DPoP != ""
	if a.pass {
		return a, nil
	}
	return a, a.normalise()
}

// leave leaves a request to the provider, malformed or not: of another grant, or of ours in a form that can be read in two ways. Only whom it names
// is read, because clients of ours have no other grants.
func (a *ask) leave(body string) {
	a.pass = true
	a.params = url.Values{
		"client_id":     append(valuesOf(a.request.Query, "client_id"), valuesOf(body, "client_id")...),
		"client_secret": valuesOf(body, "client_secret"),
	}
	_ = a.authenticate() // two ways at once are the provider's to refuse, too
}

// grantOf is the one thing that must be clear of every request, because it decides who judges the rest: all readings of it have to agree.
func grantOf(query, body string) (string, error) {
	all := append(valuesOf(query, "grant_type"), valuesOf(body, "grant_type")...)
	if len(all) == 0 || slices.ContainsFunc(all, func(v string) bool { return v != all[0] || strings.ContainsAny(v, "%;") }) {
		return "", fmt.Errorf("%w: not one grant_type", ErrRequest)
	}
	return all[0], nil
}

// valuesOf are the values that a name has in a text that may be no form. Some servers part parameters at a semicolon too: what that
// reading gives stands beside the other. What cannot be unescaped stays as it is, and what is empty counts as left out.
func valuesOf(text, name string) []string {
	var out []string
	for _, separators := range []string{"&", "&;"} {
		for pair := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
			if key, value, _ := strings.Cut(pair, "="); value != "" && unescaped(key) == name {
				out = append(out, unescaped(value))
			}
		}
		if !strings.Contains(text, ";") {
			break
		}
	}
	return out
}

// goesBy is the one client id that a request counts under, however the id is sent; where there is none, the subject of an assertion
// (RFC 7523, section 3), or whatever else stands for a credential.
func (a *ask) goesBy() string {
	user, _, _ := basic(a.request.Authorization)
	id := cmp.Or(unescaped(user), a.credential.id, a.params.Get("client_id"))
	if id != "" || a.request.Authorization != "" {
		return cmp.Or(id, a.request.Authorization)
	}
	if subjects := a.subjects(); len(subjects) > 0 {
		return subjects[0]
	}
	return ""
}

// subjects are whom the assertions of a request speak for. Both claims that name the client count (RFC 7523, section 3), sub first.
func (a *ask) subjects() []string {
	var out []string
	for _, assertion := range valuesOf(string(a.request.Body), "client_assertion") {
		parts := strings.Split(assertion, ".")
		claims := map[string]any{}
		if len(parts) != 3 || json.Unmarshal(loose(parts[1]), &claims) != nil {
			continue
		}
		for _, name := range []string{"sub", "iss"} {
			id, _ := claims[name].(string)
			out = append(out, id)
		}
	}
	return out
}

// normalise leaves in params what is neither scope nor authentication, and sees to RFC 6749, section 3.2: no parameter twice. Two
// may be repeated by later documents: resource (RFC 8707) and audience (RFC 8693).
func (a *ask) normalise() error {
	for name, values := range a.params {
		if len(values) > 1 && name != "resource" && name != "audience" {
			return fmt.Errorf("%w: a parameter is repeated", ErrRequest)
		}
	}
	a.scopes = scopeSet(a.params.Get("scope"))
	for _, name := range []string{"grant_type", "scope", "client_id", "client_secret"} {
		a.params.Del(name)
	}
	return nil
}

// authenticate finds the credential. One way at a time (RFC 6749, section 2.3); a client_id beside Basic is Cognito's own habit.
func (a *ask) authenticate() error {
	id, secret := a.params.Get("client_id"), a.params.Get("client_secret")
	switch user, password, ok := basic(a.request.Authorization); {
	case ok && secret != "":
		return fmt.Errorf("%w: two ways of client authentication", ErrRequest)
	case ok && id != "" && id != user && id != unescaped(user):
		return fmt.Errorf("%w: two client ids", ErrRequest)
	case ok && user != "" && password != "":
		a.credential, a.namesSelf = credential{'b', user, password}, id != ""
	case a.request.Authorization == "" && id != "" && secret != "":
		a.credential = credential{'p', id, secret}
	}
	return nil
}

func tooMuch(text string) bool { return len(text) > MaxForm || strings.Count(text, "&") >= maxParams }

// parseForm reads application/x-www-form-urlencoded. What has no value counts as left out (RFC 6749, section 3.2). Its error quotes.
func parseForm(text string) (url.Values, error) {
	form, err := url.ParseQuery(text)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(form, func(_ string, values []string) bool {
		return !slices.ContainsFunc(values, func(v string) bool { return v != "" })
	})
	return form, nil
}

// merge makes one of what stands in the URL and in the body. What stands in both must be the same; for a scope the order is nothing.
func merge(query, body url.Values) (url.Values, error) {
	for name, values := range query {
		other, both := body[name]
		if both && !slices.Equal(values, other) && !(name == "scope" && sameScope(values, other)) {
			return nil, fmt.Errorf("%w: a parameter says one thing in the URL and another in the body", ErrRequest)
		}
		if !both {
			body[name] = values
		}
	}
	return body, nil
}

func sameScope(a, b []string) bool {
	return len(a) == 1 && len(b) == 1 && slices.Equal(scopeSet(a[0]), scopeSet(b[0]))
}

// scopeSet is a scope as a set (RFC 6749, section 3.3: order does not matter).
func scopeSet(scope string) []string {
	set := strings.Fields(scope)
	slices.Sort(set)
	return slices.Compact(set)
}

// basic undoes the header, not the form encoding below it (RFC 6749, section 2.3.1): many clients leave that out. It is strict: what a
// provider might read in another way is passed on, and no key to a token.
func basic(header string) (user, password string, ok bool) {
	const scheme = "Basic "
	if len(header) < len(scheme) || !strings.EqualFold(header[:len(scheme)], scheme) {
		return "", "", false
	}
	plain, err := base64.StdEncoding.Strict().DecodeString(header[len(scheme):])
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(plain), ":")
}

// looseUser is the user of a Basic header in the most lenient reading that is known of servers: any white space behind the scheme (RFC
// 9110, section 11.4, allows more than one), any alphabet of base64, with padding or without, and whatever else stands between.
func looseUser(header string) string {
	const scheme = "Basic"
	at := strings.IndexAny(header, " \t")
	if at < 0 || !strings.EqualFold(header[:at], scheme) {
		return ""
	}
	user, _, _ := strings.Cut(string(loose(header[at:])), ":")
	return user
}

// loose decodes base64 of either alphabet, leaving out what belongs to neither.
func loose(text string) []byte {
	digits := strings.Map(func(r rune) rune {
		switch {
		case r == '-':
			return '+'
		case r == '_':
			return '/'
		case 'A' <= r && r <= 'Z', 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '+', r == '/':
			return r
		}
		return -1
	}, text)
	if len(digits)%4 == 1 { // a lone digit stands for nothing
		digits = digits[:len(digits)-1]
	}
	plain, _ := base64.RawStdEncoding.DecodeString(digits) // every digit is of the alphabet
	return plain
}

// unescaped undoes the form encoding, if there is one to undo.
func unescaped(text string) string {
	if plain, err := url.QueryUnescape(text); err == nil {
		return plain
	}
	return text
}

// canonical is the request as one text that is the same however it was written, and another for every other request: each part
// with its length before it. It holds the secret.
func (a *ask) canonical() []byte {
	b := make([]byte, 0, 512)
	part := func(text string) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
		b = append(b, text...)
	}
	b = append(b, a.credential.text()...)
	if a.named != nil {
		part(a.named.Upstream.ID) // the token is that client's, and another's once the name stands for another
	}
	part(a.scope())
	for _, name := range slices.Sorted(maps.Keys(a.params)) {
		part(name)
		b = binary.BigEndian.AppendUint32(b, uint32(len(a.params[name])))
		for _, value := range a.params[name] {
			part(value)
		}
	}
	return b
}

// plain is a credential with the form encoding undone, the same however it was sent. Not every provider reads all of these alike, so it
// is no key to a token.
func (c credential) plain() credential {
	switch c.kind {
	case 'b':
		return credential{'c', unescaped(c.id), unescaped(c.secret)}
	case 'p':
		c.kind = 'c'
	}
	return c
}

// text is the credential as one text. It holds the secret.
func (c credential) text() []byte {
	b := append(make([]byte, 0, 128), c.kind)
	for _, text := range []string{c.id, c.secret} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
		b = append(b, text...)
	}
	return b
}

// form is what the provider is sent, authentication left out.
func (a *ask) form() url.Values {
	form := maps.Clone(a.params)
	if form == nil {
		form = url.Values{}
	}
	form.Set("grant_type", grantMachine)
	if len(a.scopes) > 0 {
		form.Set("scope", a.scope())
	}
	return form
}

// scope is the scope as it is asked for.
func (a *ask) scope() string { return strings.Join(a.scopes, " ") }
