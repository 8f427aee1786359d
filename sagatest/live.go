package sagatest

import (
	"fmt"
	"reflect"
)

// live tells where two snapshots of one world share a map or a list: what the saga changes later changes in both, and nothing is ever seen to differ.
// It gives nothing if they share none.
func live(a, b any) (at string) { return shared("", reflect.ValueOf(a), reflect.ValueOf(b), 0) }

// deepest bounds how deep snapshots are compared.
const deepest = 20

func shared(at string, a, b reflect.Value, depth int) string {
	if !a.IsValid() || !b.IsValid() || a.Type() != b.Type() || depth > deepest || a.Type() == timeType {
		return ""
	}
	switch a.Kind() {
	case reflect.Map:
		return sharedMap(at, a, b, depth)
	case reflect.Slice:
		if a.Len() > 0 && a.Pointer() == b.Pointer() {
			return fmt.Sprintf("the %v%s", a.Type(), at)
		}
		return sharedItems(at, a, b, depth)
	case reflect.Array:
		return sharedItems(at, a, b, depth)
	case reflect.Struct:
		for k := range a.NumField() {
			if found := shared(at+"."+a.Type().Field(k).Name, a.Field(k), b.Field(k), depth+1); found != "" {
				return found
			}
		}
	case reflect.Pointer, reflect.Interface:
		return shared(at, a.Elem(), b.Elem(), depth+1)
	}
	return ""
}

func sharedMap(at string, a, b reflect.Value, depth int) string {
	if !a.IsNil() && a.Pointer() == b.Pointer() {
		return fmt.Sprintf("the %v%s", a.Type(), at)
	}
	for _, key := range a.MapKeys() {
		if found := shared(fmt.Sprintf("%s[%v]", at, key), a.MapIndex(key), b.MapIndex(key), depth+1); found != "" {
			return found
		}
	}
	return ""
}

func sharedItems(at string, a, b reflect.Value, depth int) string {
	for k := range min(a.Len(), b.Len()) {
		if found := shared(fmt.Sprintf("%s[%d]", at, k), a.Index(k), b.Index(k), depth+1); found != "" {
			return found
		}
	}
	return ""
}
