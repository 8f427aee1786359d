package payload

import (
	"reflect"
	"time"
)

var typeOfTime = reflect.TypeFor[time.Time]()

// compiler makes the codecs of one type and of all that is in it.
type compiler struct {
	done      map[reflect.Type]codec
	open      map[reflect.Type]*recursive
	foreign   bool // the library has a part in it
	addressed bool // it needs the address of a value
	interns   bool // strings are written as numbers of earlier ones, wherever those stood
}

func compile(t reflect.Type) *Type {
	c := compiler{done: map[reflect.Type]codec{}, open: map[reflect.Type]*recursive{}}
	it := c.of(t)
	if c.interns {
		it = c.library(t)
	}
	return &Type{codec: it, typ: t, foreign: c.foreign, addressed: c.addressed}
}

func (c *compiler) of(t reflect.Type) codec {
	if it, ok := c.done[t]; ok {
		return it
	}
	if it, ok := c.open[t]; ok {
		return it
	}
	it := &recursive{}
	c.open[t] = it
	it.of = c.make(t)
	c.done[t] = it.of
	return it.of
}

func (c *compiler) make(t reflect.Type) codec {
	switch {
	case t == typeOfTime:
		return timeCodec{}
	case t == reflect.PointerTo(typeOfTime):
		return c.pointer(t)
	case itself(t):
		return c.library(t)
	}
	switch t.Kind() {
	case reflect.Bool:
		return boolCodec{}
	case reflect.String:
		return stringCodec{}
	case reflect.Struct:
		return c.structure(t)
	case reflect.Pointer:
		return c.pointer(t)
	case reflect.Slice:
		return c.slice(t)
	case reflect.Array:
		return c.array(t)
	case reflect.Map:
		return c.mapping(t)
	default:
		return c.number(t)
	}
}

func (c *compiler) number(t reflect.Type) codec {
	switch t.Kind() {
	case reflect.Int:
		return intCodec(0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return intCodec(t.Bits())
	case reflect.Uint:
		return uintCodec(0)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return uintCodec(t.Bits())
	case reflect.Float32, reflect.Float64:
		return floatCodec(t.Bits())
	default:
		return c.library(t)
	}
}

func (c *compiler) library(t reflect.Type) codec {
	c.foreign = true
	c.addressed = c.addressed || !hasOne(t, msgpackWrites) && !hasOne(t, bytesWrites)
	if t.Kind() != reflect.Pointer {
		t = reflect.PointerTo(t) // which has the methods of t as well
	}
	return foreignCodec{maps: hasOne(t, msgpackWrites) || !hasOne(t, bytesWrites)}
}

func (c *compiler) pointer(t reflect.Type) codec {
	return &pointerCodec{elem: c.of(t.Elem()), typ: t.Elem()}
}

func (c *compiler) slice(t reflect.Type) codec {
	if t.Elem().Kind() == reflect.Uint8 {
		return bytesCodec{}
	}
	return &sliceCodec{typ: t, elem: c.of(t.Elem()), room: firstRoom(t.Elem().Size())}
}

func (c *compiler) array(t reflect.Type) codec {
	if t.Elem().Kind() == reflect.Uint8 {
		return byteArray{}
	}
	return &arrayCodec{c.of(t.Elem())}
}

func (c *compiler) mapping(t reflect.Type) codec {
	key := c.of(t.Key())
	_, isString := key.(stringCodec)
	return &mapCodec{
		typ: t, key: key, elem: c.of(t.Elem()), strings: isString,
		first: firstRoom(t.Key().Size() + t.Elem().Size()),
	}
}
