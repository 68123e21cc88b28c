package views

import (
	"embed"
	"fmt"
	"reflect"
	"strings"

	"github.com/BurntSushi/toml"
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
	EverywhereTitle, EverywhereText, EverywhereYes    string
	MovingOnTitle, MovingOnText                       string
	SessionsTitle, SessionsText, NoOtherDevice        string
	ThisDevice, UnknownDevice, DeviceOn               string
	SessionStarted, SessionSeen                       string
	EndOthers, EndEverywhere, EndedOne, EndedOthers   string
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
	NotEverywhereTitle, NotEverywhereText             string
	AppUnavailableTitle, AppUnavailableText           string
	InternalTitle, InternalText                       string
}

// What stands in messages for what is not known before: the brand's name is filled in once, the other two for each device.
const (
	brandHere   = "{{.Brand}}"
	browserHere = "{{.Browser}}"
	systemHere  = "{{.System}}"
)

// loadLanguages reads every message file and fills in the brand's name, which is the same on every page.
func loadLanguages(brand string) (languages, error) {
	all := spoken()
	tags := make([]language.Tag, 0, len(all))
	byTag := map[string]*texts{}
	for _, l := range all {
		t, err := loadTexts("locales/active."+l.tag+".toml", brand)
		if err != nil {
			return languages{}, fmt.Errorf("messages of %s: %w", l.tag, err)
		}
		byTag[l.tag] = t
		tags = append(tags, language.MustParse(l.tag))
	}
	return languages{all: all, matcher: language.NewMatcher(tags), byTag: byTag}, nil
}

// loadTexts looks each field's message up. Doing so once at the start makes a page's text a field access, which the compiler checks.
func loadTexts(file, brand string) (*texts, error) {
	var messages map[string]string
	if _, err := toml.DecodeFS(locales, file, &messages); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	var t texts
	fields := reflect.ValueOf(&t).Elem()
	for i := range fields.NumField() {
		id := fields.Type().Field(i).Name
		text := messages[id]
		if text == "" {
			return nil, fmt.Errorf("%s has no message %s", file, id)
		}
		fields.Field(i).SetString(strings.ReplaceAll(text, brandHere, brand))
	}
	return &t, nil
}
