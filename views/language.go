package views

import (
	"net/url"
	"strings"

	"golang.org/x/text/language"
)

// What a request may say about languages is read up to these lengths, in bytes; real headers are far shorter.
const (
	maxLangParam      = 35
	maxAcceptLanguage = 256
)

// spoken are the languages of the pages, the default first. A tag is as Amazon Cognito's managed login spells it, so
// that it can be passed on in its lang parameter.
func spoken() []Language {
	return []Language{
		{tag: "en", label: "English"},
		{tag: "pt-BR", label: "Português"},
		{tag: "ja", label: "日本語"},
		{tag: "id", label: "Bahasa Indonesia"},
		{tag: "zh-CN", label: "简体中文"},
	}
}

// Language is one of the languages that the pages speak. Its zero value is English.
type Language struct{ tag, label string }

// Tag is the language's BCP 47 tag, such as "pt-BR".
func (l Language) Tag() string {
	if l.tag == "" {
		return "en"
	}
	return l.tag
}

// LanguageLink leads to the same page in another language.
type LanguageLink struct {
	Label   string // the language's name in itself
	Tag     string // BCP 47
	URL     string
	Current bool
}

// Language chooses what a request is answered in: the lang parameter where it names a language of ours, else the best match for
// Accept-Language (RFC 9110 section 12.5.4), else English. Relatives match, so pt-PT is answered in pt-BR and zh-TW in zh-CN.
func (v *Views) Language(langParam, acceptLanguage string) Language {
	if l, ok := v.Chosen(langParam); ok {
		return l
	}
	if len(acceptLanguage) > maxAcceptLanguage {
		// The first ones count most: cut after the last whole one that fits.
		acceptLanguage = acceptLanguage[:maxAcceptLanguage]
		acceptLanguage = acceptLanguage[:max(0, strings.LastIndexByte(acceptLanguage, ','))]
	}
	l, _ := v.languages.match(acceptLanguage)
	return l
}

// Chosen is the language of ours that a lang parameter names, or a relative of; false where it names none.
func (v *Views) Chosen(langParam string) (Language, bool) {
	if len(langParam) > maxLangParam {
		return Language{}, false
	}
	return v.languages.match(langParam)
}

// LanguageLinks are the addresses of one page in every language: base with its lang parameter set and the rest of its
// query, returnTo for one, kept.
func (v *Views) LanguageLinks(current Language, base string) []LanguageLink {
	u, err := url.Parse(base)
	if err != nil {
		u = &url.URL{}
	}
	query := u.Query()
	links := make([]LanguageLink, 0, len(v.languages.all))
	for _, l := range v.languages.all {
		query.Set("lang", l.tag)
		u.RawQuery = query.Encode()
		links = append(links, LanguageLink{Label: l.label, Tag: l.tag, URL: u.String(), Current: l.tag == current.Tag()})
	}
	return links
}

// languages are those the pages speak, each with its texts.
type languages struct {
	all     []Language
	matcher language.Matcher
	byTag   map[string]*texts // BCP 47 tag → texts
}

// match reads a list in the form of Accept-Language. A list that cannot be read, or that names no language of ours, gives the first of
// ours and false.
func (ls languages) match(list string) (Language, bool) {
	wanted, _, err := language.ParseAcceptLanguage(list)
	if err != nil || len(wanted) == 0 {
		return ls.all[0], false
	}
	_, index, confidence := ls.matcher.Match(wanted...)
	return ls.all[index], confidence > language.No
}

// texts of a language, English for one that is not ours.
func (ls languages) texts(l Language) *texts {
	if t, ok := ls.byTag[l.Tag()]; ok {
		return t
	}
	return ls.byTag[ls.all[0].tag]
}
