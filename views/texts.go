package views

import (
	"embed"
	"fmt"
	"reflect"

	"github.com/BurntSushi/toml"
	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

//go:embed locales/*.toml
var locales embed.FS

// texts are all messages of one language. A field's name is the id of its message in locales/active.*.toml; a message that is missing
// there stops the start.
type texts struct {
	LanguageNav string

	SignIn, SignOut, TryAgain, SignInAgain string
	BackToBrand, ContinueToBrand           string
	SignedInAs, Reference                  string

	LoginTitle, LoginText, LoginNote, CreateAccount string
	LoginSignedInTitle                              string

	SignedOutTitle, SignedOutText, SignedOutNote      string
	ConfirmTitle, ConfirmText, ConfirmYes, ConfirmNo  string
	MovingOnTitle, MovingOnText                       string
	AdviceAgain, AdviceContact, AdviceWait            string
	ExpiredTitle, ExpiredText                         string
	UsedTitle, UsedText                               string
	CancelledTitle, CancelledText                     string
	RefusedTitle, RefusedText                         string
	NotVerifiedTitle, NotVerifiedText                 string
	BadRequestTitle, BadRequestText                   string
	ForbiddenTitle, ForbiddenText                     string
	NotFoundTitle, NotFoundText                       string
	MethodTitle, MethodText                           string
	TooLargeTitle, TooLargeText                       string
	ProviderUnavailableTitle, ProviderUnavailableText string
	ProviderBrokenTitle, ProviderBrokenText           string
	InternalTitle, InternalText                       string
}

// loadLanguages reads every message file and fills in the brand's name, the one thing that messages leave open.
func loadLanguages(brand string) (languages, error) {
	all := spoken()
	bundle := i18n.NewBundle(language.English)
	bundle.RegisterUnmarshalFunc("toml", toml.Unmarshal)
	tags := make([]language.Tag, 0, len(all))
	for _, l := range all {
		if _, err := bundle.LoadMessageFileFS(locales, "locales/active."+l.tag+".toml"); err != nil {
			return languages{}, fmt.Errorf("load messages of %s: %w", l.tag, err)
		}
		tags = append(tags, language.MustParse(l.tag))
	}
	byTag := map[string]*texts{}
	for _, l := range all {
		t, err := fill(i18n.NewLocalizer(bundle, l.tag), brand)
		if err != nil {
			return languages{}, fmt.Errorf("messages of %s: %w", l.tag, err)
		}
		byTag[l.tag] = t
	}
	return languages{all: all, matcher: language.NewMatcher(tags), byTag: byTag}, nil
}

// fill looks each field's message up. Doing so once at the start makes a page's text a field access, which the compiler checks.
func fill(localizer *i18n.Localizer, brand string) (*texts, error) {
	var t texts
	fields := reflect.ValueOf(&t).Elem()
	for i := range fields.NumField() {
		id := fields.Type().Field(i).Name
		text, err := localizer.Localize(&i18n.LocalizeConfig{MessageID: id, TemplateData: map[string]string{"Brand": brand}})
		if err != nil {
			return nil, fmt.Errorf("message %s: %w", id, err)
		}
		fields.Field(i).SetString(text)
	}
	return &t, nil
}
