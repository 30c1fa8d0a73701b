"""Labels of latents by rules of their text, scored by what a rule foretells of activations on rows it never saw."""

from universality.labels.clusters import cluster_rules as cluster_rules
from universality.labels.rules import Rules as Rules
from universality.labels.rules import learn_rules as learn_rules
from universality.labels.views import View as View
from universality.labels.views import text_views as text_views
