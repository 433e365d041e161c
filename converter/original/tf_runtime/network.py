"""`dnnlib.tflib.Network`: a function that builds a graph, its keywords, and the values of its variables."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from . import tflib
from .easydict import EasyDict
from .embedded import find_object, load_source
from .tensorflow1 import Value, tf

VERSIONS = (2, 3, 4, 5)
"""Of pickled states (docs/spec/TF.md 1.1)."""


class Network:
    """A network of the TensorFlow releases, as embedded sources use it.

    Making one builds the template graph, in a top-level variable scope of its own, in the default graph; values are set
    in the default session.

    Args:
        name: of the network; its scope is named after it.
        func_name: the build function, or its dotted name.
        static_kwargs: keywords that the build function always gets.
    """

    def __init__(self, name: str, func_name: Callable[..., Value] | str, **static_kwargs: object) -> None:
        function = find_object(func_name) if isinstance(func_name, str) else func_name
        module = function.__globals__
        self._init_fields(name, function, module.get("__embedded_source__", ""), EasyDict(static_kwargs), EasyDict())
        self._build_template()
        self.reset_own_vars()

    def _init_fields(
        self, name: str, function: Callable[..., Value], source: str, static_kwargs: EasyDict, components: EasyDict
    ) -> None:
        self.name = name
        self.static_kwargs = static_kwargs
        self.components = components
        self.version = 4
        self._build_func = function
        self._build_module_src = source
        self._runs: dict[str, tuple[list[Value], list[Value]]] = {}

    def __getstate__(self) -> dict[str, object]:
        """Return what the releases pickle."""
        values = tflib.run(self.own_vars)
        state = {
            "version": self.version,
            "name": self.name,
            "static_kwargs": dict(self.static_kwargs),
            "components": dict(self.components),
            "build_module_src": self._build_module_src,
            "build_func_name": self._build_func.__name__,
            "variables": list(values.items()),
        }
        if self.version == 2:
            del state["components"]
        if self.version >= 5:
            state |= {
                "input_shapes": self.input_shapes,
                "output_shapes": self.output_shapes,
                "input_names": self.input_names,
                "output_names": self.output_names,
            }
        return state

    def __setstate__(self, state: dict[str, Value]) -> None:
        """Build the network that a state describes, by running the source in it.

        Raises:
            ValueError: naming what does not fit: the version, the build function, a variable.
        """
        name, function_name, source = state["name"], state["build_func_name"], state["build_module_src"]
        if state["version"] not in VERSIONS:
            raise ValueError(f"network {name} is of version {state['version']}; known: {VERSIONS}")
        if not source:
            raise ValueError(f"network {name} carries no source")
        module = load_source(source, name)
        if not callable(module.get(function_name)):
            raise ValueError(f"the source of network {name} has no function {function_name}")
        components = EasyDict(state.get("components") or {})
        self._init_fields(name, module[function_name], source, EasyDict(state["static_kwargs"]), components)
        self.version = state["version"]
        self._build_template()
        self._set_own_vars(dict(state["variables"]))

    def _build_template(self) -> None:
        graph = tf.get_default_graph()
        parameters = inspect.signature(self._build_func).parameters.values()
        self.input_names = [
            p.name for p in parameters if p.kind == p.POSITIONAL_OR_KEYWORD and p.default is inspect.Parameter.empty
        ]
        if not self.input_names:
            raise ValueError(f"the build function of network {self.name} has no inputs")
        with tf.control_dependencies(None), tf.name_scope(None):
            self.scope: str = graph.unique_name(re.sub(r"[^\w.-]", "_", self.name), mark_as_used=False)
            with tf.name_scope(self.scope):
                self.input_templates = [tf.placeholder(tf.float32, name=name) for name in self.input_names]
                with tflib.absolute_variable_scope(self.scope, reuse=False):
                    outputs = self._call(self.input_templates, self.static_kwargs, is_template_graph=True)
        self._several = isinstance(outputs, list | tuple)
        self.output_templates = list(outputs) if self._several else [outputs]
        self.output_names = [output.name.split("/")[-1].split(":")[0] for output in self.output_templates]
        for name, x in zip(self.input_names, self.input_templates, strict=True):
            if x.shape.ndims is None:
                raise ValueError(f"the source of network {self.name} does not set the shape of its input {name}")
        self.input_shapes = [tflib.shape_to_list(x.shape) for x in self.input_templates]
        self.output_shapes = [tflib.shape_to_list(x.shape) for x in self.output_templates]
        self.num_inputs, self.num_outputs = len(self.input_names), len(self.output_names)
        self.input_shape, self.output_shape = self.input_shapes[0], self.output_shapes[0]
        prefix = f"{self.scope}/"
        own = [v for v in graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES) if v.name.startswith(prefix)]
        self.own_vars = {v.name.removeprefix(prefix).removesuffix(":0"): v for v in own}
        self.vars = dict(self.own_vars)
        for part in self.components.values():
            self.vars.update((f"{part.name}/{name}", variable) for name, variable in part.vars.items())
        self.trainables = {name: variable for name, variable in self.vars.items() if variable.trainable}

    def _call(self, inputs: Sequence[Value], keywords: Mapping[str, object], is_template_graph: bool) -> Value:
        about = {"is_template_graph": is_template_graph, "components": self.components}
        keywords = {**keywords, **{name: value for name, value in about.items() if self.takes(name, swallowed=True)}}
        outputs = self._build_func(*inputs, **keywords)
        for output in outputs if isinstance(outputs, list | tuple) else [outputs]:
            if not isinstance(output, tf.Tensor):
                raise ValueError(
                    f"the build function of network {self.name} gives a {type(output).__name__}, no tensor"
                )
        return outputs

    def get_output_for(self, *in_expr: Value, return_as_list: bool = False, **dynamic_kwargs: object) -> Value:
        """Build the network once more, on the given inputs; its variables are shared.

        Args:
            in_expr: a tensor for every input; None = zeros, one row for every row of the first tensor.
            return_as_list: give a list even of one output.
            dynamic_kwargs: override the static keywords.
        """
        if len(in_expr) != self.num_inputs:
            raise ValueError(f"network {self.name} takes {self.num_inputs} inputs, not {len(in_expr)}")
        if all(x is None for x in in_expr):
            raise ValueError(f"network {self.name} needs at least one input that is not None")
        with tf.name_scope(None), tf.name_scope(f"{self.scope}_run"):
            count = tf.shape(next(x for x in in_expr if x is not None))[0]
            inputs = [
                tf.zeros([count, *tflib.shape_to_list(template.shape)[1:]], name=name)
                if x is None
                else tf.identity(tf.cast(x, template.dtype), name)
                for x, name, template in zip(in_expr, self.input_names, self.input_templates, strict=True)
            ]
            with tflib.absolute_variable_scope(self.scope, reuse=True):
                keywords = {**self.static_kwargs, **dynamic_kwargs}
                outputs = self._call(inputs, keywords, is_template_graph=False)
        for given, used in zip(in_expr, inputs, strict=True):
            if isinstance(given, tf.Tensor):
                given.set_shape(used.shape)
        several = isinstance(outputs, list | tuple)
        if return_as_list:
            return list(outputs) if several else [outputs]
        return outputs

    def run(
        self,
        *in_arrays: Value,
        input_transform: dict[str, Value] | None = None,
        output_transform: dict[str, Value] | None = None,
        return_as_list: bool = False,
        minibatch_size: int | None = None,
        num_gpus: int = 1,
        print_progress: bool = False,
        assume_frozen: bool = False,
        **dynamic_kwargs: object,
    ) -> Value:
        """Evaluate the network on arrays, `minibatch_size` rows at a time.

        Args:
            in_arrays: an array for every input; None = zeros.
            input_transform: a function `func` of the inputs, and its keywords.
            output_transform: a function `func` of the outputs, and its keywords.
            return_as_list: give a list even of one output.
            minibatch_size: None = all at once.
            num_gpus: of no effect, as `print_progress` and `assume_frozen`.
            print_progress: see `num_gpus`.
            assume_frozen: see `num_gpus`.
            dynamic_kwargs: override the static keywords.
        """
        given = [x is not None for x in in_arrays]
        key = repr((given, input_transform, output_transform, sorted(dynamic_kwargs.items())))
        if key not in self._runs:
            with tf.name_scope(None), tf.control_dependencies(None):
                placeholders = [tf.placeholder(tf.float32, template.shape) for template in self.input_templates]
                expressions: list[Value] = [x if used else None for x, used in zip(placeholders, given, strict=True)]
                if input_transform:
                    expressions = list(_transform(input_transform, expressions))
                outputs = self.get_output_for(*expressions, return_as_list=True, **dynamic_kwargs)
                if output_transform:
                    outputs = list(_transform(output_transform, outputs))
            self._runs[key] = placeholders, outputs
        placeholders, outputs = self._runs[key]
        count = len(next(x for x in in_arrays if x is not None))
        step = minibatch_size or max(count, 1)
        parts = []
        for start in range(0, max(count, 1), step):
            feeds = {x: a[start : start + step] for x, a in zip(placeholders, in_arrays, strict=True) if a is not None}
            parts.append(tflib.run(outputs, feeds))
        results = [np.concatenate(column) for column in zip(*parts, strict=True)]
        if return_as_list:
            return results
        return results[0] if len(results) == 1 else tuple(results)

    def reset_own_vars(self) -> None:
        """Give the network's own variables their initial values."""
        tflib.run([variable.initializer for variable in self.own_vars.values()])

    def reset_vars(self) -> None:
        """Give all variables, those of the components too, their initial values."""
        tflib.run([variable.initializer for variable in self.vars.values()])

    def _set_own_vars(self, values: Mapping[str, Value]) -> None:
        for name in values:
            if name not in self.own_vars:
                raise ValueError(f"the source of network {self.name} makes no variable {name}, which the file has")
        self.without_value = [name for name in self.own_vars if name not in values]
        tflib.run([self.own_vars[name].initializer for name in self.without_value])
        tflib.set_vars({self.own_vars[name]: value for name, value in values.items()})

    def takes(self, keyword: str, swallowed: bool = False) -> bool:
        """Tell whether a build function, this network's or a component's, names a keyword among its parameters.

        `swallowed` counts this network's own alone, and as well if it takes any keyword.
        """
        parameters = inspect.signature(self._build_func).parameters
        if swallowed:
            return keyword in parameters or any(p.kind == p.VAR_KEYWORD for p in parameters.values())
        return keyword in parameters or any(part.takes(keyword) for part in self.components.values())

    def defaults(self) -> dict[str, object]:
        """Return the keywords that the build function assumes, and their values."""
        parameters = inspect.signature(self._build_func).parameters.values()
        return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}

    def find_var(self, var_or_local_name: Value) -> Value:
        """Return a variable by its local name."""
        return self.vars[var_or_local_name] if isinstance(var_or_local_name, str) else var_or_local_name

    def get_var(self, var_or_local_name: Value) -> Value:
        """Return the value of a variable."""
        return tflib.run(self.find_var(var_or_local_name))

    def set_var(self, var_or_local_name: Value, new_value: Value) -> None:
        """Give a variable a value."""
        tflib.set_vars({self.find_var(var_or_local_name): new_value})


def _transform(transform: dict[str, Value], expressions: Sequence[Value]) -> Sequence[Value]:
    keywords = dict(transform)
    result = keywords.pop("func")(*expressions, **keywords)
    return result if isinstance(result, list | tuple) else [result]
