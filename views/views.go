// Package views owns the pages that people see: sign-in, sign-out, errors, and the demo's page.
//
// A page is a function from plain data to a templ component. Pages need no JavaScript (the demo's page apart), hold no style and no
// script of their own, and state through CSP what they load. Nothing here knows HTTP, sessions or tokens: addresses
// arrive already judged, and statuses are chosen by whoever asked for the page.
//
//	New → brand checked, texts of every language filled → Language (for a request) → Login, Error, … → Render
//
// Read pages.go first for what there is, then layout.templ for the frame that all share.
package views

import (
	"errors"
	"fmt"

	"github.com/a-h/templ"

	"vestibule/static"
)

// ErrAssets says that Config.Assets is missing.
var ErrAssets = errors.New("views need their static assets")

// Config says what the pages wear and where their assets are.
type Config struct {
	// Brand is the application that the pages speak for; its zero value is Vestibule itself.
	Brand Brand
	// Assets are the style sheets and the mark, made with the brand's accent colour. Required.
	Assets *static.Assets
}

// Views renders the pages. It never changes after New and is safe for concurrent use.
type Views struct {
	name      string // the brand's
	logo      logo
	assets    assetPaths
	languages languages
}

// assetPaths are the hashed addresses of what the pages load.
type assetPaths struct {
	app, brand, mark, demoStyle, demoScript string
}

// page is what the frame of every page needs.
type page struct {
	lang   string // BCP 47
	title  string
	brand  string
	logo   logo
	assets assetPaths
	text   *texts
	wide   bool // the card holds more than a few words and buttons
}

// New checks the brand and fills in every text of every language, so that a page cannot fail for want of one. It
// fails with ErrBrandName, ErrLogo or ErrAssets.
func New(c Config) (*Views, error) {
	if c.Assets == nil {
		return nil, ErrAssets
	}
	name, err := brandName(c.Brand.Name)
	if err != nil {
		return nil, fmt.Errorf("brand name: %w", err)
	}
	paths := assetPaths{
		app:        c.Assets.Path("app.css"),
		brand:      c.Assets.Path("brand.css"),
		mark:       c.Assets.Path("mark.svg"),
		demoStyle:  c.Assets.Path("demo.css"),
		demoScript: c.Assets.Path("demo.js"),
	}
	logo, err := parseLogo(c.Brand.Logo, paths.mark)
	if err != nil {
		return nil, fmt.Errorf("brand logo: %w", err)
	}
	languages, err := loadLanguages(name)
	if err != nil {
		return nil, err
	}
	return &Views{name: name, logo: logo, assets: paths, languages: languages}, nil
}

// page prepares the frame in one language. The title is chosen by a function because it is one of that language's texts.
func (v *Views) page(l Language, title func(*texts) string) page {
	text := v.languages.texts(l)
	return page{lang: l.Tag(), title: title(text), brand: v.name, logo: v.logo, assets: v.assets, text: text}
}

// icon is the browser tab's picture: the brand's logo. It was checked by New, so templ need not judge its scheme, which
// would refuse data: URLs.
func (p page) icon() templ.SafeURL { return templ.SafeURL(p.logo.src) }
