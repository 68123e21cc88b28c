package idp

import (
	"encoding/json"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// verdict is what an answer of the token or revocation endpoint means. The zero value is success.
type verdict struct {
	kind error
	code string
	// repeat: the provider certainly did nothing, so the same request may be sent again.
	repeat bool
	// lost: the provider may have done its work although the answer is a failure.
	lost bool
}

// rule is one row of the classification table. status 0 stands for any, a status ending in 00 for its hundred;
// codes nil for any.
type rule struct {
	status int
	codes  []string
	verdict
}

// rules is read from the top; the first row that fits decides. Throttling comes first because Cognito sends it
// as 400 with a name of its own; a 5xx comes before the codes, because a server that broke while it worked
// cannot be believed about the grant.
var rules = []rule{
	{0, []string{"TooManyRequestsException", "LimitExceededException", "ThrottlingException", "slow_down"},
		verdict{kind: ErrThrottled, repeat: true}},
	{http.StatusTooManyRequests, nil, verdict{kind: ErrThrottled, repeat: true}},
	{http.StatusServiceUnavailable, nil, verdict{kind: ErrUnavailable, repeat: true}},
	{500, nil, verdict{kind: ErrUnavailable, lost: true}},
	{0, []string{"server_error", "InternalErrorException"}, verdict{kind: ErrUnavailable, lost: true}},
	{0, []string{"temporarily_unavailable"}, verdict{kind: ErrUnavailable}},

	// RFC 6749 section 5.2, and OpenID Connect Core 1.0 section 3.1.2.6: the user has to sign in again.
	{0, []string{"invalid_grant", "access_denied", "login_required", "interaction_required", "consent_required",
		"account_selection_required"}, verdict{kind: ErrRefused}},
	// The exceptions for which AWS's own client forgets its tokens.
	{0, []string{"NotAuthorizedException", "TokenRevokedException", "UserNotFoundException",
		"PasswordResetRequiredException", "UserNotConfirmedException", "RefreshTokenReuseException"},
		verdict{kind: ErrRefused}},

	{0, []string{codeInvalidClient, "unauthorized_client", "unsupported_grant_type", "invalid_scope",
		"invalid_request", "invalid_target", "unsupported_token_type"}, verdict{kind: ErrMisconfigured}},
	{http.StatusRequestTimeout, nil, verdict{kind: ErrUnavailable, lost: true}},
	{300, nil, verdict{kind: ErrMisconfigured}},
	{400, nil, verdict{kind: ErrMisconfigured}},
	// A code nobody knows under a status of success is no token answer.
	{200, nil, verdict{kind: ErrMalformed, lost: true}},
}

const codeInvalidClient = "invalid_client"

// classify judges an answer by its status and its error code. A 2xx without an error code is success here;
// whether it holds tokens is for the caller to see.
func classify(a answer) verdict {
	code := problemCode(a.body)
	if a.status/100 == 2 && code == "" {
		return verdict{}
	}
	for _, r := range rules {
		if r.fits(a.status, code) {
			v := r.verdict
			v.code = code
			return v
		}
	}
	return verdict{kind: ErrMalformed, code: code, lost: true}
}

func (r rule) fits(status int, code string) bool {
	switch {
	case r.status == 0:
	case r.status%100 == 0:
		if status/100 != r.status/100 {
			return false
		}
	case r.status != status:
		return false
	}
	return r.codes == nil || slices.Contains(r.codes, code)
}

// codeShape admits OAuth error codes and AWS exception names and hardly anything else: a provider that echoed a
// token in its error field must not bring it into our logs.
var codeShape = regexp.MustCompile(`^([a-z_]{1,40}|[A-Z][A-Za-z]{1,60}Exception)$`)

// problemCode finds the error code in an answer: RFC 6749's error, or AWS's __type, which may carry a
// namespace in front ("com.amazonaws.cognito#TooManyRequestsException").
func problemCode(body []byte) string {
	var p struct {
		Error json.RawMessage `json:"error"`
		Type  json.RawMessage `json:"__type"`
	}
	if json.Unmarshal(body, &p) != nil {
		return ""
	}
	for _, raw := range []json.RawMessage{p.Error, p.Type} {
		var code string
		if len(raw) == 0 || json.Unmarshal(raw, &code) != nil || code == "" {
			continue
		}
		code = code[strings.LastIndexByte(code, '#')+1:]
		if codeShape.MatchString(code) {
			return code
		}
		return "other"
	}
	return ""
}

// isHTML recognises the pages that proxies and firewalls put in a provider's place.
func isHTML(h http.Header) bool {
	kind, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	return kind == "text/html" || kind == "application/xhtml+xml"
}
