package idp

import (
	"net/url"
	"regexp"
	"strings"
)

// quirks are the habits in which providers differ, as data.
type quirks struct {
	// name is for logs.
	name string
	// languageParam asks for the pages' language; languages maps what we are asked for (lower case) to what
	// the provider knows, nil hands it on as it is.
	languageParam string
	languages     map[string]string
	// providerParam chooses an upstream identity provider; "" means there is no way to.
	providerParam string
	providerNames map[string]string // lower case → the provider's spelling
	// nativeProvider must not be named together with prompt=none.
	nativeProvider string
	// signUpPath replaces the authorization endpoint's path; signUpPrompt is a prompt value.
	signUpPath, signUpPrompt string
	// tokenUse is what the ID token's token_use claim must say; "" means there is no such claim.
	tokenUse string
	// logoutPath is where the logout page lives on the authorization endpoint's host when it is not advertised.
	logoutPath string
}

// standard is a provider that keeps to the specifications. prompt=create: Initiating User Registration via
// OpenID Connect 1.0.
var standard = &quirks{name: "openid", languageParam: "ui_locales", signUpPrompt: "create"}

// cognito is an Amazon Cognito user pool. Names of identity providers as Amplify translates them; languages as
// managed login lists them; with prompt=none a session that began at a social provider answers login_required
// when COGNITO is named; old pools do not advertise end_session_endpoint. It needs no offline_access: a
// code always brings a refresh token, and the unknown scope would be refused.
var cognito = &quirks{
	name:          "cognito",
	languageParam: "lang",
	languages: map[string]string{
		"de": "de", "en": "en", "es": "es", "fr": "fr", "id": "id", "it": "it", "ja": "ja", "ko": "ko",
		"pt": "pt-BR", "pt-br": "pt-BR", "zh": "zh-CN", "zh-cn": "zh-CN", "zh-hans": "zh-CN", "zh-sg": "zh-CN",
		"zh-tw": "zh-TW", "zh-hant": "zh-TW", "zh-hk": "zh-TW",
	},
	providerParam: "identity_provider",
	providerNames: map[string]string{
		"google": "Google", "facebook": "Facebook", "amazon": "LoginWithAmazon", "apple": "SignInWithApple",
	},
	nativeProvider: "COGNITO",
	signUpPath:     "/signup",
	tokenUse:       "id",
	logoutPath:     "/logout",
}

// cognitoIssuer fits both issuer shapes, in AWS's partitions.
var cognitoIssuer = regexp.MustCompile(`^(issuer-)?cognito-idp\.[a-z0-9-]+\.amazonaws\.com(\.cn)?$`)

// recognise decides which provider a document describes: Cognito by its issuer's host, or by endpoints that
// have exactly its paths on one host (an emulator, or a pool behind another name).
func recognise(issuer string, d document) *quirks {
	if u, err := url.Parse(issuer); err == nil && cognitoIssuer.MatchString(u.Host) {
		return cognito
	}
	authorize, err1 := url.Parse(d.Authorization)
	token, err2 := url.Parse(d.Token)
	logout, err3 := url.Parse(d.EndSession)
	if err1 != nil || err2 != nil || err3 != nil {
		return standard
	}
	oneHost := authorize.Host == token.Host && authorize.Host == logout.Host
	if oneHost && authorize.Path == "/oauth2/authorize" && token.Path == "/oauth2/token" && logout.Path == "/logout" {
		return cognito
	}
	return standard
}

// language translates a BCP 47 tag; "" means the provider cannot be asked for it.
func (q *quirks) language(tag string) string {
	if q.languages == nil {
		return tag
	}
	tag = strings.ToLower(tag)
	for {
		if known := q.languages[tag]; known != "" {
			return known
		}
		cut := strings.LastIndexByte(tag, '-')
		if cut < 0 {
			return ""
		}
		tag = tag[:cut]
	}
}

// identityProvider translates the short names; anything else is handed on as it is.
func (q *quirks) identityProvider(name string) string {
	return orElse(q.providerNames[strings.ToLower(name)], name)
}
