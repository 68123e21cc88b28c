package static

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// DefaultAccent is the colour of buttons and links where the brand names none: a deep pine green.
const DefaultAccent = "#0b6b5d"

// ErrColour says that a colour is not written as "#rgb" or "#rrggbb".
var ErrColour = errors.New("want #rgb or #rrggbb")

// rgb is a colour in sRGB.
type rgb struct{ r, g, b uint8 }

// Contrast demanded by WCAG 2.2: 1.4.3 for text at level AA, 1.4.11 for the edges of controls. What the pointer does to
// a button must merely be noticed.
const (
	textContrast  = 4.5
	edgeContrast  = 3.0
	hoverContrast = 1.15
)

// parseAccent reads the configured colour. Nothing but six hexadecimal digits gets through, so the value can be
// written into a style sheet without escaping.
func parseAccent(s string) (rgb, error) {
	if s == "" {
		s = DefaultAccent
	}
	digits, ok := strings.CutPrefix(s, "#")
	if ok && len(digits) == 3 {
		digits = strings.Repeat(digits[:1], 2) + strings.Repeat(digits[1:2], 2) + strings.Repeat(digits[2:], 2)
	}
	n, err := strconv.ParseUint(digits, 16, 24)
	if !ok || len(digits) != 6 || err != nil {
		return rgb{}, fmt.Errorf("%.32q: %w", s, ErrColour)
	}
	return rgb{uint8(n >> 16), uint8(n >> 8), uint8(n)}, nil
}

func (c rgb) String() string { return fmt.Sprintf("#%02x%02x%02x", c.r, c.g, c.b) }

// luminance is WCAG's relative luminance, from 0 for black to 1 for white.
func (c rgb) luminance() float64 {
	linear := func(channel uint8) float64 {
		v := float64(channel) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c.r) + 0.7152*linear(c.g) + 0.0722*linear(c.b)
}

// contrast is WCAG's ratio between two colours, from 1 to 21; their order does not matter.
func contrast(a, b rgb) float64 {
	la, lb := a.luminance(), b.luminance()
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

// mix goes the given part of the way, 0 to 1, from one colour to another.
func mix(from, to rgb, part float64) rgb {
	channel := func(a, b uint8) uint8 {
		return uint8(math.Round(float64(a) + (float64(b)-float64(a))*part))
	}
	return rgb{channel(from.r, to.r), channel(from.g, to.g), channel(from.b, to.b)}
}

// legible moves a colour towards another one, as little as needed, until it stands out from every background by the
// wanted ratio. The target must itself stand out: it is the answer where nothing before it does.
func legible(c, towards rgb, ratio float64, backgrounds ...rgb) rgb {
	for percent := range 100 {
		candidate := mix(c, towards, float64(percent)/100)
		if standsOut(candidate, ratio, backgrounds) {
			return candidate
		}
	}
	return towards
}

func standsOut(c rgb, ratio float64, backgrounds []rgb) bool {
	for _, background := range backgrounds {
		if contrast(c, background) < ratio {
			return false
		}
	}
	return true
}
