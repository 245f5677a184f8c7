"""System checks of the declarations: a broken reference fails `manage.py check`."""
