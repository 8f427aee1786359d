package sagatest

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// maxDifferences is how many differences are told.
const maxDifferences = 8

// differences tells how now differs from before, one place each: "Points[ada]: 40, was 30". An empty map or list is like none.
func differences(before, now any) []string {
	return differ{was: "was", were: "were"}.differences(before, now)
}

// sinceDone is differences without those of times: what fails on its way is done later.
func sinceDone(before, now any) []string {
	return differ{was: "was", were: "were", timeless: true}.differences(before, now)
}

// unexpected is differences of what was expected and what is: "Points[ada]: 40, expected 30".
func unexpected(want, got any) []string {
	return differ{was: "expected", were: "expected"}.differences(want, got)
}

func (d differ) differences(before, now any) []string {
	d.seen = map[[2]uintptr]bool{}
	d.compare("", reflect.ValueOf(before), reflect.ValueOf(now))
	if len(d.found) > maxDifferences {
		d.found = append(d.found[:maxDifferences], fmt.Sprintf("and %d more", len(d.found)-maxDifferences))
	}
	return d.found
}

type differ struct {
	found []string
	seen  map[[2]uintptr]bool // pointers that were compared

	was, were string // words
	timeless  bool   // times are alike
}

func (d *differ) tell(at, format string, args ...any) {
	if at != "" {
		at += ": "
	}
	d.found = append(d.found, strings.TrimPrefix(at, ".")+fmt.Sprintf(format, args...))
}

func (d *differ) compare(at string, a, b reflect.Value) {
	switch {
	case !a.IsValid() || !b.IsValid() || a.Type() != b.Type():
		if a.IsValid() || b.IsValid() {
			d.tell(at, "%s, %s %s", text(b), d.was, text(a))
		}
		return
	}
	switch a.Kind() {
	case reflect.Struct:
		if a.Type() == timeType {
			d.compareTimes(at, a, b)
			return
		}
		for k := range a.NumField() {
			d.compare(at+"."+a.Type().Field(k).Name, a.Field(k), b.Field(k))
		}
	case reflect.Map:
		d.compareMaps(at, a, b)
	case reflect.Slice, reflect.Array:
		d.compareLists(at, a, b)
	case reflect.Pointer, reflect.Interface:
		d.compareInner(at, a, b)
	default:
		if text(a) != text(b) {
			d.tell(at, "%s, %s %s", text(b), d.was, text(a))
		}
	}
}

var timeType = reflect.TypeFor[time.Time]()

func (d *differ) compareTimes(at string, a, b reflect.Value) {
	switch {
	case d.timeless:
	case a.CanInterface():
		if x, y := a.Interface().(time.Time), b.Interface().(time.Time); !x.Equal(y) {
			d.tell(at, "%s, %s %s", y.Round(0), d.was, x.Round(0))
		}
	case text(a.Field(0)) != text(b.Field(0)) || text(a.Field(1)) != text(b.Field(1)): // an unexported one, of which only the fields can be read
		d.tell(at, "another time")
	}
}

func (d *differ) compareInner(at string, a, b reflect.Value) {
	if a.IsNil() || b.IsNil() {
		if a.IsNil() != b.IsNil() {
			d.tell(at, "%s, %s %s", text(b), d.was, text(a))
		}
		return
	}
	if a.Kind() == reflect.Pointer {
		pair := [2]uintptr{a.Pointer(), b.Pointer()}
		if d.seen[pair] {
			return
		}
		d.seen[pair] = true
	}
	d.compare(at, a.Elem(), b.Elem())
}

func (d *differ) compareMaps(at string, a, b reflect.Value) {
	var keys []reflect.Value
	for _, k := range append(a.MapKeys(), b.MapKeys()...) {
		if !slices.ContainsFunc(keys, func(o reflect.Value) bool { return o.Equal(k) }) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(x, y reflect.Value) int { return cmp.Compare(text(x), text(y)) })
	for _, k := range keys {
		place := fmt.Sprintf("%s[%s]", at, text(k))
		switch x, y := a.MapIndex(k), b.MapIndex(k); {
		case !x.IsValid():
			d.tell(place, "%s is new", text(y))
		case !y.IsValid():
			d.tell(place, "%s is gone", text(x))
		default:
			d.compare(place, x, y)
		}
	}
}

func (d *differ) compareLists(at string, a, b reflect.Value) {
	for k := range min(a.Len(), b.Len()) {
		d.compare(fmt.Sprintf("%s[%d]", at, k), a.Index(k), b.Index(k))
	}
	if a.Len() != b.Len() {
		d.tell(at, "%d elements, %s %d", b.Len(), d.were, a.Len())
	}
}

func text(v reflect.Value) string {
	if !v.IsValid() {
		return "nothing"
	}
	if v.Type() == timeType && !v.CanInterface() {
		return "a time"
	}
	return fmt.Sprintf("%+v", v)
}

func join(list []string) string { return strings.Join(list, "; ") }

func under(outer, path string) string {
	if outer == "" {
		return path
	}
	return outer + "/" + path
}

func isOneOf(err error, list []error) bool {
	return slices.ContainsFunc(list, func(e error) bool { return errors.Is(err, e) })
}
