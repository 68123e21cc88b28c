package handlers

import (
	"strings"

	"github.com/mileusna/useragent"
)

// maxUserAgent is how much of a User-Agent is read, in bytes. Those of browsers have about 120, those of browsers inside other
// applications up to 400.
const maxUserAgent = 1024

// joint stands between browser and system in a label. No name in the two lists below contains it.
const joint = " on "

// browserNames and systemNames are the only names that a label is made of: it is shown on a page and kept in the store, and what a
// client says of itself may be anything.
var (
	browserNames = map[string]string{ // as the library calls it → as people do
		useragent.Firefox: "Firefox", useragent.Chrome: "Chrome", useragent.HeadlessChrome: "Chrome", useragent.Edge: "Edge",
		useragent.Safari: "Safari", useragent.Opera: "Opera", useragent.OperaMini: "Opera Mini", useragent.OperaTouch: "Opera",
		useragent.Vivaldi: "Vivaldi", useragent.SamsungBrowser: "Samsung Internet", useragent.InternetExplorer: "Internet Explorer",
		useragent.FacebookApp: "Facebook", useragent.InstagramApp: "Instagram", useragent.TiktokApp: "TikTok", "MicroMessenger": "WeChat",
		"Huawei Browser": "Huawei Browser", "Miui Browser": "Mi Browser", "YaBrowser": "Yandex Browser", "Yowser": "Yandex Browser",
		"DuckDuckGo": "DuckDuckGo", "Mobile DuckDuckGo": "DuckDuckGo", "Trident": "Internet Explorer",
	}
	systemNames = map[string]string{
		useragent.Windows: "Windows", useragent.MacOS: "macOS", useragent.IOS: "iPhone", useragent.Android: "Android", useragent.Linux: "Linux",
		useragent.ChromeOS: "ChromeOS", useragent.FreeBSD: "FreeBSD", useragent.Harmony: "HarmonyOS",
	}
)

// deviceLabel is what the list of one's sessions calls a browser, such as "Firefox on Windows": of the User-Agent, because what the
// client hints say unasked (Sec-CH-UA-Platform) is said there too. An iPad calls itself a Mac, and so does the label. "" means that it
// is none that we know.
func deviceLabel(userAgent string) string {
	if len(userAgent) > maxUserAgent {
		userAgent = userAgent[:maxUserAgent]
	}
	ua := useragent.Parse(userAgent)
	browser, system := browserNames[ua.Name], systemNames[ua.OS]
	if system != "" && ua.Device == "iPad" {
		system = "iPad"
	}
	if browser == "" || system == "" {
		return browser + system
	}
	return browser + joint + system
}

// deviceParts takes a label apart again, for a page that puts it together in its own language.
func deviceParts(label string) (browser, system string) {
	browser, system, _ = strings.Cut(label, joint)
	return browser, system
}
